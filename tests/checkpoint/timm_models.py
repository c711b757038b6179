"""timm's own modules, with torchvision stubbed out where it is not installed."""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
import types
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
import torch


class _Names(type):
    """A class every attribute of which is its own name: enough for enumerations."""

    def __getattr__(cls, name: str) -> str:
        if name.startswith("__"):
            raise AttributeError(name)
        return name


class _Stub(types.ModuleType):
    """A module in which every name is a class of nothing."""

    __path__: list[str] = []  # noqa: RUF012 - a package, to the import system

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Names(name, (torch.nn.Module,), {})


class _StubFinder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name.partition(".")[0] != "torchvision":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        pass


@contextmanager
def importing_torchvision() -> Iterator[None]:
    """While active, torchvision can be imported where it is not installed."""
    finder = _StubFinder()
    stub = importlib.util.find_spec("torchvision") is None
    if stub:
        sys.meta_path.append(finder)
    try:
        yield
    finally:
        if stub:
            # Nothing else is to believe that torchvision is there.
            sys.meta_path.remove(finder)
            for name in [n for n in sys.modules if n.partition(".")[0] == "torchvision"]:
                del sys.modules[name]


def import_timm() -> Any:
    """The timm package; skips the test where it is not installed."""
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm is not installed")
    with importing_torchvision():
        import timm
        import timm.utils.model
    return timm


def seeded(name: str, seed: int) -> torch.nn.Module:
    """A timm module with trained-looking norms: statistics far from 0 and 1."""
    torch.manual_seed(seed)
    return trained_looking(import_timm().create_model(name).eval())


def trained_looking(module: torch.nn.Module) -> torch.nn.Module:
    """The module, its norms' weights and statistics random."""
    for child in module.modules():
        if isinstance(child, torch.nn.LayerNorm):
            child.weight.data.uniform_(0.5, 1.5)
            child.bias.data.normal_(0, 0.3)
        if isinstance(child, torch.nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.3)
            child.running_var.uniform_(0.5, 2)
            child.weight.data.uniform_(0.5, 1.5)
            child.bias.data.normal_(0, 0.3)
    return module


def deployed(module: torch.nn.Module) -> torch.nn.Module:
    """The same function, fused by timm."""
    return import_timm().utils.model.reparameterize_model(module)

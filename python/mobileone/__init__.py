"""MobileOne checkpoints in, fused networks out: re-parameterized, proven equal, fast on CPUs.

>>> import mobileone
>>> model = mobileone.load("mobileone_s0_unfused.pth.tar")  # any public layout
>>> fused = mobileone.reparameterize(model)
>>> print(mobileone.verify(model, fused))
>>> print(mobileone.benchmark({"train-time": model, "fused": fused}))

Names resolve on first use: `import mobileone` costs NumPy and nothing else.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

    from mobileone import _core as _core
    from mobileone.data.sampling import MultiScaleSampler
    from mobileone.evaluation.verb import evaluate
    from mobileone.interchange import torch as torch
    from mobileone.interchange.onnx.fuse.verb import fuse_onnx
    from mobileone.measure.benchmarking import benchmark
    from mobileone.measure.profiling import profile
    from mobileone.model import (
        Model,
        create_detector,
        create_model,
        create_segmenter,
        from_torch,
        load,
        quantize,
        reparameterize,
    )
    from mobileone.network.compiled import CompiledModel
    from mobileone.network.create import list_models
    from mobileone.network.stored_plan import load_plan
    from mobileone.train.recipe import Recipe
    from mobileone.train.trainer import Trainer
    from mobileone.util.errors import CheckpointError
    from mobileone.util.machine.environment import show_config
    from mobileone.util.version import __version__
    from mobileone.verification.stages import verify

__all__ = [
    "CheckpointError",
    "CompiledModel",
    "Model",
    "MultiScaleSampler",
    "Recipe",
    "Trainer",
    "__version__",
    "benchmark",
    "create_detector",
    "create_model",
    "create_segmenter",
    "evaluate",
    "from_torch",
    "fuse_onnx",
    "list_models",
    "load",
    "load_plan",
    "profile",
    "quantize",
    "reparameterize",
    "show_config",
    "verify",
]

_HOMES = {
    "__version__": "util.version",
    "CheckpointError": "util.errors",
    "CompiledModel": "network.compiled",
    "Model": "model",
    "MultiScaleSampler": "data.sampling",
    "Recipe": "train.recipe",
    "Trainer": "train.trainer",
    "benchmark": "measure.benchmarking",
    "create_detector": "model",
    "create_model": "model",
    "create_segmenter": "model",
    "evaluate": "evaluation.verb",
    "from_torch": "model",
    "fuse_onnx": "interchange.onnx.fuse.verb",
    "list_models": "network.create",
    "load": "model",
    "load_plan": "network.stored_plan",
    "profile": "measure.profiling",
    "quantize": "model",
    "reparameterize": "model",
    "show_config": "util.machine.environment",
    "verify": "verification.stages",
}


def __getattr__(name: str) -> Any:
    if name in ("_core", "torch"):
        return importlib.import_module(f"mobileone.{name}")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mobileone' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"mobileone.{home}"), name)
    except ModuleNotFoundError as error:
        if error.name != "mobileone._core":
            raise
        engine = importlib.import_module("mobileone.util.engine")
        raise ImportError(engine.why_missing()) from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(__all__) | set(globals()))


# Modules under other names: what documents told users to import up to 0.1.0,
_ALIASES = {
    "mobileone.drawing": "mobileone.figures.drawing",
    "mobileone.environment": "mobileone.util.machine.environment",
    "mobileone.plots": "mobileone.figures.plots",
    "mobileone.rounding": "mobileone.verification.rounding",
    "mobileone.threads": "mobileone.util.machine.threads",
    # and the public name of a room, which imports PyTorch only when it is asked for.
    "mobileone.torch": "mobileone.interchange.torch",
}


class _Alias:
    """Finds the modules of `_ALIASES`, after every other finder: the same module, not a copy."""

    @staticmethod
    def find_spec(
        name: str, path: Sequence[str] | None, target: object = None
    ) -> ModuleSpec | None:
        return type(__spec__)(name, _Alias()) if name in _ALIASES else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(_ALIASES[spec.name])
        self._own_spec = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec  # the import system has put that of the old name there


sys.meta_path.append(_Alias)

"""What `benchmark` and `profile` run: a model from any source, under a label."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from mobileone.checkpoint.open import is_variant, open_bundle, open_named
from mobileone.checkpoint.sources import is_module
from mobileone.network.inputs import TakesImages

if TYPE_CHECKING:
    from mobileone.network.compiled import CompiledModel

__all__ = ["Measured", "Source", "Workload", "accuracy_of", "label_sources", "open_workload"]


class Measured(TakesImages, Protocol):
    """What is timed: a `mobileone.Model`, or a `Bundle`."""

    @property
    def name(self) -> str: ...  # noqa: D102 - see Model
    @property
    def arch(self) -> str: ...  # noqa: D102
    @property
    def form(self) -> str: ...  # noqa: D102
    @property
    def num_params(self) -> int: ...  # noqa: D102
    def compile(  # noqa: D102
        self, input_shape: Sequence[int], *, threads: int | None = None
    ) -> CompiledModel: ...


Source: TypeAlias = "Measured | str | os.PathLike[str]"


@dataclass(frozen=True)
class Workload:
    """A labelled model and the seconds it took to load; None where it was already in memory."""

    label: str
    model: Measured
    load_s: float | None


def accuracy_of(model: Measured) -> str:
    """Of an int8 network what it costs in accuracy; "" of others."""
    return str(getattr(getattr(model, "bundle", model), "accuracy", ""))


def open_workload(source: Source, label: str | None = None, seed: int = 0) -> Workload:
    """The model of ``source``: a Model as it is, a checkpoint file, a torch.nn.Module, or the name
    of a variant.

    A file or module is run in the form it has. A name stands for seeded random weights in the
    inference form; weights do not change the time of a run.
    """
    if is_module(source):
        return Workload(label or type(source).__name__, open_bundle(source), None)
    if not isinstance(source, str | os.PathLike):
        return Workload(label or source.name, source, None)
    start = time.perf_counter()
    bundle = open_named(source, seed)
    load_s = time.perf_counter() - start
    if is_variant(source):
        return Workload(label or os.fspath(source), bundle.reparameterized(), None)
    return Workload(label or os.path.basename(source), bundle, load_s)


def label_sources(
    models: Source | Sequence[Source] | Mapping[str, Source],
) -> list[tuple[str | None, Source]]:
    """One (label, source) pair per model; the labels of a mapping are its keys."""
    if isinstance(models, Mapping):
        pairs: list[tuple[str | None, Source]] = [(str(k), v) for k, v in models.items()]
    elif isinstance(models, list | tuple):
        pairs = [(None, source) for source in models]
    else:
        pairs = [(None, models)]  # type: ignore[list-item]
    if not pairs:
        raise ValueError("models is empty; expected at least one model, path or name")
    for label, source in pairs:
        known = isinstance(source, str | os.PathLike) or is_module(source)
        if not (known or (hasattr(source, "compile") and hasattr(source, "arch"))):
            where = f" for {label!r}" if label else ""
            raise ValueError(
                f"models{where} holds a {type(source).__name__}; "
                "expected a mobileone Model, a path, a model name or a torch.nn.Module"
            )
    return pairs

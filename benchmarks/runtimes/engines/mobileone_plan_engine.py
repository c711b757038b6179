"""Our own engine from a stored plan: its weights are packed already, and mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.runtimes.engines import mobileone_engine

if TYPE_CHECKING:
    from mobileone import CompiledModel

DISTRIBUTION = mobileone_engine.DISTRIBUTION


def write(folder: Path, threads: Sequence[int]) -> None:
    """Compile and store a plan per number of threads."""
    from benchmarks.runtimes.formats.network import read_network

    mobileone_engine.write(folder, threads)
    model = mobileone_engine.open_model(folder, (folder / "dtype").read_text())
    for count in threads:
        model.save_plan(folder / _file(count), read_network(folder).input_shape, threads=count)


class Session(mobileone_engine.Session):
    """A stored plan, with the fused kernels that it was made for."""

    def compile(self, folder: Path, shape: tuple[int, ...], threads: int) -> CompiledModel:
        """The plan for that many threads."""
        from mobileone.network.stored_plan import load_plan

        return load_plan(folder / _file(threads))


def _file(threads: int) -> str:
    return f"model-{threads}.plan"

"""Our own engine: the fused kernels where they apply."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone import CompiledModel

DISTRIBUTION = "mobileone"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Nothing to do: the network is in our own format already."""


class Session:
    """A compiled model, its output allocated by the first run."""

    backend = "auto"

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        from mobileone._core import isa

        self._compiled = self.compile(folder, x.shape, threads)
        self._x = x
        self._logits: npt.NDArray[np.float32] | None = None
        self.settings = {
            "backend": self.backend,
            "threads": str(threads),
            "isa": isa(),
            "steps": _kinds(self._compiled.steps),
        }

    def compile(self, folder: Path, shape: tuple[int, ...], threads: int) -> CompiledModel:
        """The model in ``folder``, compiled."""
        import mobileone

        model = mobileone.load(os.fspath(folder / "model.safetensors"))
        dtype = (folder / "dtype").read_text()
        return model.compile(shape, threads=threads, backend=self.backend, dtype=dtype)

    def run(self) -> None:
        """One inference."""
        self._logits = self._compiled(self._x, out=self._logits)

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        assert self._logits is not None
        return self._logits


def _kinds(steps: Sequence[Mapping[str, Any]]) -> str:
    """How many steps ran on which implementation, the commonest first."""
    kinds = Counter(str(step["implementation"]) for step in steps)
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())

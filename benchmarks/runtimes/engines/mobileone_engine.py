"""Our own engine: the fused kernels where they apply."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone import CompiledModel, Model

from benchmarks.runtimes.fidelity import CALIBRATION
from benchmarks.runtimes.formats.network import WEIGHTS

DISTRIBUTION = "mobileone"


_INT8 = "int8.safetensors"


def write(folder: Path, threads: Sequence[int]) -> None:
    """The quantized network, if that is wanted: the float one is in our own format already."""
    if (folder / "dtype").read_text() == "int8":
        import mobileone

        own = mobileone.load(folder / WEIGHTS)
        mobileone.quantize(own, np.load(folder / CALIBRATION), progress=False).save(folder / _INT8)


def open_model(folder: Path, dtype: str) -> Model:
    """The float network in ``folder``, or what `write` made of it."""
    import mobileone

    return mobileone.load(folder / (_INT8 if dtype == "int8" else WEIGHTS))


class Session:
    """A compiled model, its output allocated by the first run."""

    backend = "auto"
    dtype: str | None = None  # instead of the case's

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
        dtype = self.dtype or (folder / "dtype").read_text()
        model = open_model(folder, dtype)
        return model.compile(shape, threads=threads, backend=self.backend, dtype=dtype)

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._x = x

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

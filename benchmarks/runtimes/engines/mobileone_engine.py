"""Our own engine."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt

DISTRIBUTION = "mobileone"


def write(folder: Path) -> None:
    """Nothing to do: the network is in our own format already."""


class Session:
    """A compiled model, its output preallocated."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import mobileone
        from mobileone import _core

        model = mobileone.load(os.fspath(folder / "model.safetensors"))
        self._compiled = model.compile(x.shape, threads=threads)
        self._x = x
        self._logits: npt.NDArray[np.float32] | None = None
        self.settings = {
            "dtype": "float32",
            "threads": str(threads),
            "oneDNN": _core.onednn_version().split()[0],
            "channel block": str(_core.onednn_channel_block()),
        }

    def run(self) -> None:
        """One inference."""
        self._logits = self._compiled(self._x, out=self._logits)

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        assert self._logits is not None
        return self._logits

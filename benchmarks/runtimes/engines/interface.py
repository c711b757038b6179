"""What a module of `engines` offers; types only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["EngineModule", "Session"]


class Session(Protocol):
    """An opened network with its input in place.

    Attributes:
        settings: what was set, and read back where the runtime allows it.
    """

    settings: Mapping[str, str]

    def run(self) -> None:
        """One inference, as a caller in Python starts it, without copying input or output."""

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Put another input of the same shape in place; of engines with lower precision."""

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""


class EngineModule(Protocol):
    """A module of `engines`."""

    DISTRIBUTION: str

    def write(self, folder: Path, threads: Sequence[int]) -> None:
        """Write the network in ``folder`` in the runtime's format, beside it.

        ``threads``: the numbers that it will be opened with.
        """

    def Session(  # noqa: N802 - a class in the modules
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> Session:
        """Open it for the input [N, C, H, W]; ``tune`` allows choosing by trial."""

"""Averaged weights: an exponential moving average of everything a network has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Average"]


class Average:
    """a = d a + (1 - d) w after every update, for parameters and running statistics alike.

    Statistics are those of the weights that they were measured with, so that averaged weights need
    averaged ones. Counts are copied.

    Attributes:
        weights: the average, by name.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[Any]]) -> None:
        self.weights = {name: np.array(array) for name, array in weights.items()}

    def update(self, weights: Mapping[str, npt.NDArray[Any]], decay: float) -> None:
        """Moves the average towards these."""
        for name, average in self.weights.items():
            if average.dtype.kind == "f":
                # In this form the average of equal numbers is that number.
                average += (1.0 - decay) * (weights[name] - average)
            else:
                average[...] = weights[name]

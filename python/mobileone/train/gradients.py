"""Gradients of several batches together: their mean, their norm, clipping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone._core import Network

__all__ = ["GradientSource", "Gradients"]


class GradientSource(Protocol):
    """What knows a network's loss and its gradients: `network.training_step.TrainingStep`.

    Attributes:
        parameters: arrays by name that the next step reads: writing into them changes the network.
        network: the network as it is now, with the running statistics that steps move.
        dropout_seed: of the next step.
    """

    dropout_seed: int

    @property
    def parameters(self) -> Mapping[str, npt.NDArray[Any]]: ...  # noqa: D102
    @property
    def network(self) -> Network: ...  # noqa: D102

    def load(self, weights: dict[str, Any]) -> None:
        """Takes over all weights by name; `parameters` may be other arrays then."""

    def loss_and_gradients(
        self, x: Any, targets: Any, *, label_smoothing: float = 0.0
    ) -> tuple[float, Mapping[str, npt.NDArray[Any]]]:
        """Of the batch's mean cross entropy, by the parameters' names."""


class Gradients:
    """The mean over all images of the batches that were added.

    Attributes:
        images: how many there were.
    """

    def __init__(self) -> None:
        self.images = 0
        self._sums: dict[str, npt.NDArray[Any]] = {}

    def add(self, gradients: Mapping[str, npt.NDArray[Any]], images: int) -> None:
        """Those of a batch's mean loss."""
        if not self._sums:
            # The step may write into the same arrays again.
            self._sums = {name: np.array(array) for name, array in gradients.items()}
        else:
            # The mean so far and this one, weighted: one batch alone is left as it is.
            share = images / (self.images + images)
            for name, array in gradients.items():
                self._sums[name] *= 1.0 - share
                self._sums[name] += share * array
        self.images += images

    def take(self, clip_norm: float | None = None) -> tuple[dict[str, npt.NDArray[Any]], float]:
        """The mean, and its norm before clipping, summed in float64; empties this."""
        mean, self._sums, self.images = self._sums, {}, 0
        norm = math.sqrt(sum(_squares(array) for array in mean.values()))
        if clip_norm is not None and clip_norm < norm < math.inf:
            for array in mean.values():
                array *= clip_norm / norm
        return mean, norm


def _squares(array: npt.NDArray[Any]) -> float:
    # Not a dot product: BLAS may split it by threads.
    return float(np.sum(np.square(array, dtype=np.float64)))

"""How far a range of integers reaches: what clipping costs against what a coarser step costs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mobileone.quantization.numbers import LARGEST_BYTE, Range
from mobileone.quantization.statistics import BINS, Statistics

__all__ = ["OBSERVERS", "Clipping", "channel_limits", "check_observer", "tensor_range"]

Float64 = npt.NDArray[np.float64]

OBSERVERS = ("minmax", "percentile", "squared_error", "absolute_error")
# Of all values, what "percentile" keeps.
_KEPT = 0.9999
# Shares of the largest magnitude that are tried.
_SHARES = 2.0 ** (-np.arange(0, 33) / 8)


def check_observer(name: str) -> str:
    """ValueError unless it is one."""
    if name not in OBSERVERS:
        raise ValueError(f"observer is {name!r}; expected one of {', '.join(OBSERVERS)}")
    return name


class Clipping:
    """The error of rounding a tensor's channels, clipped at any limits.

    A step s costs s^2 / 12 of a value that is not 0, or s / 4 as an absolute error; a value beyond
    the limit what it is beyond.
    """

    def __init__(self, statistics: Statistics) -> None:
        self.statistics = statistics
        # The largest values are in the last bin, and are not beyond its upper edge.
        at = statistics.edge[:, None] * (np.arange(BINS) + 0.5)[None] / BINS
        counts = statistics.counts
        self._sums = [_after(counts * at**power) for power in range(3)]

    def squared(self, limits: Float64, step: float | Float64) -> Float64:
        """Mean squared error per channel, with magnitudes up to `limits` [C] kept."""
        count, first, second = self._beyond(limits)
        clipped = second - 2 * limits * first + limits**2 * count
        error: Float64 = self.statistics.positive * np.square(step) / 12
        error += np.maximum(clipped, 0.0)
        return error

    def absolute(self, limits: Float64, step: float | Float64) -> Float64:
        """Mean absolute error per channel."""
        count, first, _ = self._beyond(limits)
        error: Float64 = self.statistics.positive * step / 4
        error += np.maximum(first - limits * count, 0.0)
        return error

    def _beyond(self, limits: Float64) -> list[Float64]:
        edge = self.statistics.edge
        place = np.where(edge > 0, limits / np.where(edge > 0, edge, 1.0), 1.0) * BINS + 0.5
        bins = np.clip(np.floor(place), 0, BINS).astype(np.intp)
        rows = np.arange(len(edge))
        return [sums[rows, bins] for sums in self._sums]


def _after(values: Float64) -> Float64:
    """[C, BINS + 1]: the sum of a bin's and all after it; 0 at the end."""
    sums = np.cumsum(values[:, ::-1], axis=1)[:, ::-1]
    return np.concatenate([sums, np.zeros((len(values), 1))], axis=1)


def channel_limits(statistics: Statistics, observer: str) -> Float64:
    """The largest magnitude [C] that each channel's integers should have, each for itself."""
    edge = statistics.edge
    if observer == "minmax":
        return edge
    if observer == "percentile":
        beyond = _after(statistics.counts)
        kept = (beyond > 1.0 - _KEPT).sum(1)
        share: Float64 = np.minimum(kept, BINS) / BINS
        return np.multiply(edge, share)
    clipping = Clipping(statistics)
    error = clipping.squared if observer == "squared_error" else clipping.absolute
    width = np.where(edge > 0, (statistics.high - statistics.low) / np.maximum(edge, 1e-300), 1.0)
    tried = [error(edge * share, edge * share * width / LARGEST_BYTE) for share in _SHARES]
    best: Float64 = edge * _SHARES[np.argmin(tried, axis=0)]
    return best


def tensor_range(statistics: Statistics, observer: str, weights: Float64 | None = None) -> Range:
    """One range for all channels.

    Args:
        statistics: of the tensor.
        observer: one of `OBSERVERS`.
        weights: how much a channel's squared error counts [C], of "squared_error".
    """
    low, high = float(statistics.low.min()), float(statistics.high.max())
    largest = max(high, -low)
    if observer == "minmax" or largest == 0:
        return Range.of(low, high)
    if observer == "percentile":
        return _limited(low, high, _joint_percentile(statistics, largest))
    clipping = Clipping(statistics)
    counts = np.ones(len(statistics.low)) if weights is None else weights

    def error(share: float) -> float:
        kept = _limited(low, high, largest * share)
        limits = np.full(len(counts), largest * share)
        if observer == "absolute_error":
            return float(clipping.absolute(limits, kept.scale).sum())
        return float((counts * clipping.squared(limits, kept.scale)).sum())

    return _limited(low, high, largest * min(_SHARES, key=error))


def _limited(low: float, high: float, limit: float) -> Range:
    return Range.of(max(low, -limit), min(high, limit))


def _joint_percentile(statistics: Statistics, largest: float) -> float:
    """The magnitude that all but one in 10^4 values of all channels stay below."""
    limits = largest * np.arange(1, BINS + 1) / BINS
    clipping = Clipping(statistics)
    channels = len(statistics.low)
    shares = [clipping._beyond(np.full(channels, limit))[0].mean() for limit in limits]
    return float(limits[int(np.argmax(np.array(shares) <= 1.0 - _KEPT))])

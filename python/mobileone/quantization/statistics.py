"""What the float network's activations look like on the calibration images, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mobileone._core import Network, Plan
from mobileone.data.arrays import Float32
from mobileone.util.machine.threads import thread_count

__all__ = ["BINS", "Statistics", "collect"]

BINS = 512
Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Statistics:
    """Of one node's result, per channel.

    Attributes:
        low: the least value [C].
        high: the largest value [C].
        mean: [C].
        square: mean of the squares [C].
        positive: share of values that are not 0 [C].
        edge: the largest magnitude [C]: where the last bin ends.
        counts: of magnitudes, [C, BINS], as shares of all values.
    """

    low: Float64
    high: Float64
    mean: Float64
    square: Float64
    positive: Float64
    counts: Float64

    @property
    def edge(self) -> Float64:
        """The largest magnitude [C]: where the last bin ends."""
        return np.maximum(self.high, -self.low)

    def scaled(self, factors: Float64) -> Statistics:
        """Of the same values times positive `factors` [C]."""
        return Statistics(
            self.low * factors,
            self.high * factors,
            self.mean * factors,
            self.square * factors**2,
            self.positive,
            self.counts,
        )


def collect(
    network: Network,
    images: Float32,
    names: Sequence[str],
    step: Callable[[], None] = lambda: None,
) -> dict[str, Statistics]:
    """Statistics of some nodes' results, one image after another; `step` is called after each of
    the 2 N runs: ranges come first, then histograms within them.
    """
    inputs = network.graph.input_names
    made = [name for name in names if name not in inputs]
    plan = Plan(network, (1, *images.shape[1:]), made, thread_count().count)
    results = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    sums = {name: _Sums(values.shape[1]) for name, values in zip(made, results, strict=True)}
    sums |= {name: _Sums(images.shape[1]) for name in names if name in inputs}
    for measure in (_Sums.add, _Sums.count):
        for image in images:
            plan.run(np.ascontiguousarray(image[None]), results)
            found = dict.fromkeys(inputs, image) | {
                name: _by_channel(values) for name, values in zip(made, results, strict=True)
            }
            for name, own in sums.items():
                measure(own, found[name].reshape(len(found[name]), -1))
            step()
    return {name: own.statistics() for name, own in sums.items()}


def _by_channel(values: Float32) -> Float32:
    """[C, ...] of one image's maps [P, C, H, W]: tokens are unfolded into several."""
    return values[0] if len(values) == 1 else np.ascontiguousarray(values.swapaxes(0, 1))


class _Sums:
    """Of values [C, N], image after image."""

    def __init__(self, channels: int) -> None:
        self.low = np.zeros(channels)
        self.high = np.zeros(channels)
        self.total = np.zeros(channels)
        self.square = np.zeros(channels)
        self.nonzero = np.zeros(channels)
        self.values = 0
        self.counts = np.zeros((channels, BINS))

    def add(self, values: Float32) -> None:
        np.minimum(self.low, values.min(1), out=self.low)
        np.maximum(self.high, values.max(1), out=self.high)
        self.total += values.sum(1, dtype=np.float64)
        self.square += np.einsum("cn,cn->c", values, values, dtype=np.float64)
        self.nonzero += np.count_nonzero(values, axis=1)
        self.values += values.shape[1]

    def count(self, values: Float32) -> None:
        edge = np.maximum(self.high, -self.low)
        per_unit = (BINS / np.where(edge > 0, edge, 1.0)).astype(np.float32)
        bins = (np.abs(values) * per_unit[:, None]).astype(np.int32)
        np.minimum(bins, BINS - 1, out=bins)
        bins += np.arange(len(bins), dtype=np.int32)[:, None] * BINS
        found = np.bincount(bins.ravel(), minlength=self.counts.size)
        self.counts += found.reshape(self.counts.shape)

    def statistics(self) -> Statistics:
        n = max(self.values, 1)
        return Statistics(
            self.low,
            self.high,
            self.total / n,
            self.square / n,
            self.nonzero / n,
            self.counts / n,
        )

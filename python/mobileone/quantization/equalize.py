"""Cross-layer equalization: channels of like ranges, so that one scale suits all of a tensor.

Nagel et al. 2019, section 4.1, chosen here by the noise that it leaves in the next convolution's
sums. A depthwise convolution never mixes its input channels and has a weight scale for each, so
that equalizing what it reads costs nothing: it is a range per channel. A dense convolution has one
scale for all input channels of a row: there it is a trade.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph
from mobileone.quantization.numbers import LARGEST_BYTE, LARGEST_WEIGHT
from mobileone.quantization.observers import Clipping, channel_limits
from mobileone.quantization.scaling import Reach, find_reach, scale_channels
from mobileone.quantization.sites import Site
from mobileone.quantization.statistics import Statistics

__all__ = ["Equalized", "equalize"]

Float64 = npt.NDArray[np.float64]

# How much weaker than the median a channel may be and still be brought up to it: what was all but
# silent on the calibration images may speak on others.
_MOST_GAIN = 16.0
# Of a channel's range against the median's, in what depthwise convolutions read: less than 1, since
# extremes of few images are not those of all.
_SHARE_OF_RANGE = 0.75
# Exponents of activations' and weights' ranges, and shares of the largest magnitude, that are tried
# where equalizing is a trade.
_EXPONENTS = (0.0, 0.25, 0.5, 0.75, 1.0)
_SHARES = 2.0 ** (-np.arange(0, 9) / 4)


@dataclass(frozen=True, eq=False)
class Equalized:
    """A network with scales moved.

    Attributes:
        weights: of the same graph.
        statistics: of the scaled activations.
        divisors: by node, what its channels are divided by.
        sites: how many convolutions' results were changed.
    """

    weights: dict[str, npt.NDArray[np.float32]]
    statistics: dict[str, Statistics]
    divisors: dict[str, Float64]
    sites: int


def equalize(
    graph: Graph,
    weights: Mapping[str, npt.NDArray[np.float32]],
    sites: Sequence[Site],
    statistics: Mapping[str, Statistics],
    observer: str,
    *,
    depthwise: bool = True,
    dense: bool = True,
) -> Equalized:
    """Scales chosen from the first site to the last.

    Args:
        graph: fused.
        weights: of it.
        sites: of it.
        statistics: of every site's source and result.
        observer: what limits a channel's range.
        depthwise: whether what depthwise convolutions read is equalized.
        dense: whether what dense ones read is.
    """
    found = Equalized(dict(weights), dict(statistics), {}, 0)
    by_name = {site.name: site for site in sites}
    count = 0
    for site in sites:
        reach = find_reach(graph, site.name)
        readers = [by_name.get(node["name"]) for node in reach.absorbers] if reach else []
        mixing = [reader for reader in readers if reader is not None and not reader.depthwise]
        # A linear layer's input is the head's map, which programs read as the last level.
        if reach is None or any(node["kind"] == "Linear" for node in reach.absorbers):
            continue
        divisors = _divisors(site, reach, readers, mixing, found, observer, depthwise, dense)
        if divisors is None:
            continue
        count += 1
        found = Equalized(
            scale_channels(found.weights, reach, divisors),
            {
                name: own.scaled(1 / divisors) if name in reach.scaled else own
                for name, own in found.statistics.items()
            },
            {**found.divisors, **dict.fromkeys(reach.scaled, divisors)},
            count,
        )
    return found


def _divisors(
    site: Site,
    reach: Reach,
    readers: Sequence[Site | None],
    mixing: Sequence[Site],
    found: Equalized,
    observer: str,
    depthwise: bool,
    dense: bool,
) -> Float64 | None:
    read = {reader.source for reader in readers if reader is not None}
    if len(read) != 1:
        return None
    own = _Rounded(found.statistics, site, read.pop(), observer)
    if not mixing:
        return own.even() ** _SHARE_OF_RANGE if depthwise else None
    matrices = [np.abs(found.weights[f"{s.name}.weight"]).astype(np.float64) for s in mixing]
    return _traded(own, matrices) if dense else None


class _Rounded:
    """The tensors between a convolution and its readers that are rounded: one, or where a gate is
    between them the convolution's own and what the gate makes of it.

    Attributes:
        signal: mean squares of what is read [C].
        ranges: of each tensor what brings its channels to the same range [C].
    """

    def __init__(
        self, statistics: Mapping[str, Statistics], site: Site, read: str, observer: str
    ) -> None:
        parts = [statistics[name] for name in dict.fromkeys((site.result, read))]
        last = parts[-1]
        self.signal = last.square
        self.ranges = [_capped(channel_limits(part, observer)) for part in parts]
        # By what a channel's error is multiplied on its way to the readers: its gate, squared.
        self._gains = [
            np.minimum(last.square / np.maximum(part.square, 1e-300), 1.0) for part in parts
        ]
        self._parts = [(part, Clipping(part)) for part in parts]

    def even(self) -> Float64:
        """Divisors between those that each tensor would have."""
        between: Float64 = np.exp(np.mean(np.log(self.ranges), axis=0))
        return between

    def noise(self, divisors: Float64, power: Float64) -> float:
        """Of all rounding, with the best limit for all channels of a tensor.

        Args:
            divisors: per channel [C].
            power: by what a channel's squared error counts [C].
        """
        total = 0.0
        for (part, clipping), gains in zip(self._parts, self._gains, strict=True):
            sides = 2.0 if (part.low < 0).any() else 1.0
            largest = float((part.edge / divisors).max())
            kept = [divisors * limit for limit in largest * _SHARES]
            errors = [clipping.squared(own, sides * own / LARGEST_BYTE) for own in kept]
            total += min(float((power * gains * error).sum()) for error in errors)
        return total


def _capped(limits: Float64) -> Float64:
    """Divisors that bring ranges to the same, but for channels that are nearly silent."""
    alive = limits[limits > 0]
    if not len(alive):
        return np.ones(len(limits))
    typical = float(np.median(alive))
    capped: Float64 = np.maximum(limits, typical / _MOST_GAIN) / typical
    return capped


def _traded(own: _Rounded, matrices: Sequence[Float64]) -> Float64:
    """The divisors that leave the least noise in the sums of dense convolutions.

    Args:
        own: what they read.
        matrices: magnitudes of their weights [out, C, kh, kw].
    """
    largest = _capped(np.max([m.max((0, 2, 3)) for m in matrices], axis=0))
    ranges = [*own.ranges, own.even()] if len(own.ranges) > 1 else own.ranges
    tried = [r**a / largest**b for r in ranges for a in _EXPONENTS for b in _EXPONENTS]
    tried = [divisors / np.exp(np.log(divisors).mean()) for divisors in tried]
    noise = [sum(_noise(own, d, m) for m in matrices) for d in tried]
    return tried[int(np.argmin(noise))]


def _noise(own: _Rounded, divisors: Float64, matrix: Float64) -> float:
    """Of a convolution's sums, added up over output channels: from rounding activations that are
    divided, and from rounding weights that are multiplied.
    """
    activations = own.noise(divisors, np.square(matrix).sum((0, 2, 3)))
    steps = (matrix * divisors.reshape(1, -1, 1, 1)).max((1, 2, 3)) / LARGEST_WEIGHT
    signal = float((own.signal / divisors**2).sum()) * matrix.shape[2] * matrix.shape[3]
    return float(activations + float(np.square(steps).sum()) / 12 * signal)

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
    own = found.statistics[read.pop()]
    if not mixing:
        return _capped(channel_limits(own, observer)) ** _SHARE_OF_RANGE if depthwise else None
    return _traded(own, found.weights, mixing, observer) if dense else None


def _capped(limits: Float64) -> Float64:
    """Divisors that bring ranges to the same, but for channels that are nearly silent."""
    alive = limits[limits > 0]
    if not len(alive):
        return np.ones(len(limits))
    typical = float(np.median(alive))
    capped: Float64 = np.maximum(limits, typical / _MOST_GAIN) / typical
    return capped


def _traded(
    own: Statistics,
    weights: Mapping[str, npt.NDArray[np.float32]],
    mixing: Sequence[Site],
    observer: str,
) -> Float64:
    """The divisors that leave the least noise in the sums of the convolutions that read it."""
    matrices = [np.abs(weights[f"{site.name}.weight"]).astype(np.float64) for site in mixing]
    limits = channel_limits(own, observer)
    largest = _capped(np.max([m.max((0, 2, 3)) for m in matrices], axis=0))
    clipping, ranges = Clipping(own), _capped(limits)
    tried = [ranges**a / largest**b for a in _EXPONENTS for b in _EXPONENTS]
    tried = [divisors / np.exp(np.log(divisors).mean()) for divisors in tried]
    noise = [sum(_noise(own, clipping, d, m) for m in matrices) for d in tried]
    return tried[int(np.argmin(noise))]


def _noise(own: Statistics, clipping: Clipping, divisors: Float64, matrix: Float64) -> float:
    """Of a convolution's sums, added up over output channels: from rounding activations that are
    divided, with the best limit for all of them, and from rounding weights that are multiplied.

    Args:
        own: of the activations.
        clipping: of the activations.
        divisors: per channel [C].
        matrix: magnitudes of the weight [out, C, kh, kw].
    """
    power = np.square(matrix).sum((0, 2, 3))
    largest = float((own.edge / divisors).max())
    activations = min(
        float((power * clipping.squared(divisors * limit, divisors * limit / LARGEST_BYTE)).sum())
        for limit in largest * _SHARES
    )
    steps = (matrix * divisors.reshape(1, -1, 1, 1)).max((1, 2, 3)) / LARGEST_WEIGHT
    signal = float((own.square / divisors**2).sum()) * matrix.shape[2] * matrix.shape[3]
    return float(activations + float(np.square(steps).sum()) / 12 * signal)

"""From the first convolution to the last: each one's integers, given those before it.

The float network and the quantized one run side by side on some of the calibration images, the
quantized one in float32 on what its integers stand for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph, GraphBuilder, Network
from mobileone.data.arrays import Float32
from mobileone.quantization.numbers import FLOATS, Integers, Range, bias_integers, sqnr
from mobileone.quantization.segments import Weights, last_uses, run_network, run_segment
from mobileone.quantization.sites import Site
from mobileone.quantization.weights import round_weight

__all__ = ["Walked", "walk"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Walked:
    """What `walk` found.

    Attributes:
        integers: by site.
        sqnr: of a site's result against the float network's, in dB.
        exact: the network's result in float32.
        rounded: the quantized network's.
    """

    integers: dict[str, Integers] = field(default_factory=dict)
    sqnr: dict[str, float] = field(default_factory=dict)
    exact: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))
    rounded: Float32 = field(default_factory=lambda: np.zeros(0, np.float32))


def walk(
    graph: Graph,
    weights: Weights,
    sites: Sequence[Site],
    candidates: Sequence[Mapping[str, Range]],
    images: Float32,
    *,
    power: Mapping[str, Float64] | None,
    correct: bool,
    step: Callable[[], None] = lambda: None,
) -> Walked:
    """Integers of every site, in order.

    Args:
        graph: fused.
        weights: of it.
        sites: which of its convolutions become integers.
        candidates: ranges of their sources and results; of several the one that leaves the end of a
            stage with the least noise.
        images: [N, C, H, W], which both networks run on.
        power: mean square per channel of every source; None clips no weight.
        correct: whether biases are changed so that the mean of every sum is the float network's
            (Nagel et al. 2019, section 4.2, with the means of these images).
        step: is called after every site.
    """
    ends = [*(site.source for site in sites), graph.output_name]
    uses = last_uses(graph, ends, [site.result for site in sites])
    (image,) = graph.input_names
    state = _State({image: images}, {image: images})
    for first, last in _stages(graph, sites):
        tried = []
        for ranges in candidates:
            own = state.copy()
            for i in range(first, last):
                own.add(graph, weights, sites[i], ranges, power, correct=correct)
                own.forget(name for name, use in uses.items() if use <= i)
            tried.append(own)
        state = max(tried, key=lambda own: own.sqnr[sites[last - 1].name])
        for _ in range(first, last):
            step()
    name = graph.output_name
    results = [run_segment(graph, weights, held, name) for held in (state.exact, state.rounded)]
    return Walked(state.integers, state.sqnr, *results)


def _stages(graph: Graph, sites: Sequence[Site]) -> Iterator[tuple[int, int]]:
    """Of every feature level, and of what is after the last: its first site, and the one after
    its last.
    """
    levels, place = set(graph.feature_names), {s.result: i for i, s in enumerate(sites)}
    place |= {site.name: i for i, site in enumerate(sites)}
    first = done = 0
    for node in graph.nodes:
        done = max(done, place.get(node["name"], -1) + 1)
        if node["name"] in levels and done > first:
            yield first, done
            first = done
    if first < len(sites):
        yield first, len(sites)


@dataclass
class _State:
    """Both networks up to a site: results that are still needed, and what was decided."""

    exact: dict[str, Float32]
    rounded: dict[str, Float32]
    integers: dict[str, Integers] = field(default_factory=dict)
    sqnr: dict[str, float] = field(default_factory=dict)
    ranges: dict[str, Range] = field(default_factory=dict)

    def copy(self) -> _State:
        """Whose changes are its own."""
        return _State(*(dict(part) for part in vars(self).values()))

    def add(
        self,
        graph: Graph,
        weights: Weights,
        site: Site,
        ranges: Mapping[str, Range],
        power: Mapping[str, Float64] | None,
        *,
        correct: bool,
    ) -> None:
        """The next site."""
        for name in (site.source, site.result):
            self.ranges.setdefault(name, ranges[name])
        exact, rounded = (
            run_segment(graph, weights, held, site.source) for held in (self.exact, self.rounded)
        )
        expected = _sums(site, weights, exact)
        own = None if power is None else power[site.source]
        integers, sums = _quantized(site, weights, self.ranges, rounded, expected, own, correct)
        if site.relu:
            expected, sums = np.maximum(expected, 0), np.maximum(sums, 0)
        self.exact[site.result] = expected
        self.rounded[site.result] = sums if site.float_result else integers.output.rounded(sums)
        self.integers[site.name] = integers
        self.sqnr[site.name] = sqnr(expected, self.rounded[site.result])

    def forget(self, names: Iterable[str]) -> None:
        """Drop results."""
        for name in names:
            self.exact.pop(name, None)
            self.rounded.pop(name, None)


def _quantized(
    site: Site,
    weights: Weights,
    ranges: Mapping[str, Range],
    source: Float32,
    expected: Float32,
    power: Float64 | None,
    correct: bool,
) -> tuple[Integers, Float32]:
    """A site's integers, and its sums before the ReLU."""
    taken = ranges[site.source]
    given = FLOATS if site.float_result else ranges[site.result]
    weight = weights[f"{site.name}.weight"]
    bias = _bias(site, weights)
    whole, scale = round_weight(site, weight, bias, taken.scale, power)

    def integers() -> Integers:
        return Integers(taken, given, whole, scale, bias_integers(bias, taken.scale, scale))

    found, x = integers(), taken.rounded(source)
    sums = _sums_of(site, found, x)
    if correct:
        difference = (expected.astype(np.float64) - sums).mean((0, 2, 3))
        bias = bias + difference
        found = integers()
        sums = _sums_of(site, found, x)
    return found, sums


def _bias(site: Site, weights: Weights) -> Float64:
    if not site.attributes["bias"]:
        return np.zeros(site.attributes["out_channels"])
    return weights[f"{site.name}.bias"].astype(np.float64)


def _sums(site: Site, weights: Weights, x: Float32) -> Float32:
    return _convolution(site, weights[f"{site.name}.weight"], _bias(site, weights), x)


def _sums_of(site: Site, integers: Integers, x: Float32) -> Float32:
    return _convolution(site, integers.float_weight(), integers.float_bias(), x)


def _convolution(
    site: Site, weight: Float32, bias: npt.NDArray[np.floating], x: Float32
) -> Float32:
    builder = GraphBuilder()
    builder.add("input", "Input", channels=x.shape[1])
    builder.add(site.name, "Conv2d", ["input"], **{**site.attributes, "bias": True})
    builder.output(site.name)
    own = {f"{site.name}.weight": weight, f"{site.name}.bias": bias.astype(np.float32)}
    return run_network(Network(builder.build(), own), x, [site.name])[0]

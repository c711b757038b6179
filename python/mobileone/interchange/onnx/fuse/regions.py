"""The regions of a graph that one convolution or matrix product replaces."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from mobileone.interchange.onnx.fuse.cost import Cost
from mobileone.interchange.onnx.fuse.forms import Forms
from mobileone.interchange.onnx.fuse.geometry import Geometry, Reason
from mobileone.interchange.onnx.fuse.graph import MainGraph
from mobileone.interchange.onnx.fuse.ops.node import Context, Linear
from mobileone.interchange.onnx.fuse.ops.windows import MOST

__all__ = ["Left", "Region", "choose"]


_MOST_ELEMENTS = 1 << 25


@dataclass(frozen=True)
class Region:
    """A value as one map of another.

    Attributes:
        source, output: the values.
        steps: the values between, in topological order; the last one is `output`.
        removed: indices of the nodes that nobody needs any more.
        alike: values between that have the shape of the map's result, so that who asks for theirs
            may ask for that.
        geometry: of the map.
        reshapes: values whose nodes give the result its shape; the last one is `output`.
        flat: whether the source is known to be [N, C].
        before, after: what it costs.
    """

    source: str
    output: str
    steps: tuple[str, ...]
    removed: frozenset[int]
    alike: frozenset[str]
    geometry: Geometry
    reshapes: tuple[str, ...]
    flat: bool
    before: Cost
    after: Cost

    @property
    def excess(self) -> float:
        """What it would cost more, in multiply-adds per position."""
        return self.after.total - self.before.total


class Left(NamedTuple):
    """A value that could look as if it were merged, and why it was not."""

    value: str
    reason: Reason


def choose(graph: MainGraph, forms: Forms, context: Context) -> tuple[list[Region], list[Left]]:
    """The regions to replace, none of which needs what another one removes; and what was left."""
    candidates: list[tuple[float, Region]] = []
    left = [Left(*row) for row in forms.left]
    for value in forms.maps:
        nearest: Region | None = None
        for region in _regions(graph, forms, context, value):
            if region.after.is_below(region.before):
                saved = (region.before.total - region.after.total) * _positions(context, region)
                candidates.append((saved, region))
            elif nearest is None or region.excess < nearest.excess:
                nearest = region
        if nearest is not None and nearest.before.macs and nearest.excess > 0:
            left.append(Left(value, _too_dear(graph, nearest)))
    candidates.sort(key=lambda row: (-row[0], -len(row[1].removed)))
    chosen: list[Region] = []
    taken: set[int] = set()
    hidden: set[str] = set()
    sources: set[str] = set()
    for _, region in candidates:
        inside = {graph.nodes[index].output for index in region.removed} - {region.output}
        if region.removed & taken or region.source in hidden or inside & sources:
            continue
        chosen.append(region)
        taken |= region.removed
        hidden |= inside
        sources.add(region.source)
    chosen.sort(key=lambda region: graph.makers[region.output])
    merged = {value for region in chosen for value in region.steps}
    return chosen, [row for row in dict.fromkeys(left) if row.value not in merged]


def _positions(context: Context, region: Region) -> int:
    """Of the result, as far as its extents are known: what costs per position are worth."""
    count = len(region.geometry.axes or ())
    shape = (context.values.shape(region.output) or ())[-count:] if count else ()
    return math.prod(extent or 1 for extent in shape)


def _too_dear(graph: MainGraph, region: Region) -> Reason:
    before, after = region.before, region.after
    kept = [v for v in region.steps if graph.makers[v] not in region.removed]
    shared = f"; {kept[0]} is read elsewhere, too" if kept else ""
    macs = f"{before.macs:.6g} -> {after.macs:.6g} multiply-adds per position"
    return f"no cheaper as one: {macs}, {before.weights} -> {after.weights} weights{shared}"


def _regions(graph: MainGraph, forms: Forms, context: Context, value: str) -> Iterator[Region]:
    """Every region of two nodes and more that ends with a value, and multiplies."""
    for source, geometry in forms.maps[value].items():
        if source == value or not _is_provable(geometry):
            continue
        steps = forms.between(source, value)
        if steps is None or len(steps) < 2:
            continue
        linear = [o for o in (forms.operators[s] for s in steps) if isinstance(o, Linear)]
        if not any(operator.heavy for operator in linear):
            continue
        alike = frozenset(
            step for step in steps[:-1] if _same_shape(forms.maps[step][source], geometry)
        )
        removed = _removable(graph, steps, alike)
        flat = any(o.flat and not forms.of(o.source)[source].reshapes for o in linear)
        before = Cost()
        for step in steps:
            if graph.makers[step] in removed:
                ratio = geometry.stride / forms.maps[step][source].stride
                before = before.plus(_cost(forms, step, source, geometry), ratio)
        reshapes = _reshapes(graph, context, geometry.reshapes, alike)
        after = _cost_after(geometry, flat, len(reshapes))
        yield Region(
            source, value, tuple(steps), removed, alike, geometry, reshapes, flat, before, after
        )


def _is_provable(geometry: Geometry) -> bool:
    """Whether a map multiplies, and its input and result for a proof can be held in memory."""
    if geometry.axes is None:
        return False
    reaches = [max(a.last - a.first, -a.slack) + 2 * a.stride + 2 for a in geometry.axes]
    widest = max(geometry.inputs, geometry.outputs)
    return max(reaches, default=0) <= 2 * MOST and widest * math.prod(reaches) <= _MOST_ELEMENTS


def _same_shape(part: Geometry, whole: Geometry) -> bool:
    """Whether two maps of one value have results of one shape, before any reshaping."""
    if part.axes is None or part.reshapes or part.outputs != whole.outputs:
        return False
    sizes = [[(axis.stride, axis.slack) for axis in g.axes or ()] for g in (part, whole)]
    return sizes[0] == sizes[1]


def _removable(graph: MainGraph, steps: list[str], alike: frozenset[str]) -> frozenset[int]:
    """Nodes whose results nobody reads once the last one has been replaced."""
    removed = {graph.makers[steps[-1]]}
    for step in reversed(steps[:-1]):
        readers = set(graph.readers.get(step, ())) - removed
        if step in alike:
            readers = {index for index in readers if graph.nodes[index].kind != "Shape"}
        if step not in graph.kept and not readers:
            removed.add(graph.makers[step])
    return frozenset(removed)


def _reshapes(
    graph: MainGraph, context: Context, values: tuple[str, ...], alike: frozenset[str]
) -> tuple[str, ...]:
    """Those that are needed: from the last one that gives a shape regardless of those before it."""
    for index in reversed(range(len(values))):
        node = graph.nodes[graph.makers[values[index]]]
        if node.kind != "Reshape" or node.attributes.get("allowzero", 0):
            continue
        asked = graph.nodes[graph.makers[node.input(1)]] if node.input(1) in graph.makers else None
        if asked is not None and asked.kind == "Shape" and not asked.attributes:
            # Back to a shape that the result has from the beginning.
            return values[index + (asked.input(0) in alike) :]
        shape = context.integers(node.input(1))
        if shape is not None and 0 not in shape:
            return values[index:]
    return values


def _cost(forms: Forms, step: str, source: str, whole: Geometry) -> Cost:
    """Of a node of a region, per position of its result."""
    operator = forms.operators[step]
    channels = forms.maps[step][source].outputs or whole.inputs
    if not isinstance(operator, Linear):
        return Cost(0.0, (len(operator.terms) + 1) * channels, 0, 1)
    geometry = operator.geometry
    if operator.free:
        return Cost(nodes=1)
    if geometry.axes is None:
        return Cost(0.0, 2.0 * channels, 1, 1)
    elements = geometry.inputs * geometry.stride + geometry.outputs
    macs = geometry.weights if operator.heavy else 0
    return Cost(macs, elements, geometry.weights if operator.weighted else 0, 1)


def _cost_after(geometry: Geometry, flat: bool, reshapes: int) -> Cost:
    elements = geometry.inputs * geometry.stride + geometry.outputs
    nodes = 1 + reshapes
    if geometry.axes == () and geometry.biased and not flat:
        elements += 2 * geometry.outputs  # the bias of a matrix product is a node of its own
        nodes += 1
    # Features along the last axis are mixed by a matrix, which has no groups.
    wide = 1 if geometry.axes == () else geometry.groups
    weights = geometry.weights * geometry.groups // wide
    return Cost(weights, elements, weights, nodes)

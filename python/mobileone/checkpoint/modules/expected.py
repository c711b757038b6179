"""The expressions of a graph of ours, for images of one size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.modules.expressions import Expressions, Index, Shape

if TYPE_CHECKING:
    from mobileone._core import Graph

__all__ = ["expressions_of"]

Node = Mapping[str, Any]


def expressions_of(graph: Graph, shape: Shape, table: Expressions) -> dict[str, int]:
    """Name of each node -> number of its result.

    Args:
        graph: an unfused or fused network.
        shape: of the images.
        table: where expressions are made.
    """
    builder = _Builder(table, {name: tuple(s) for name, s in graph.shapes(shape).items()}, graph)
    for node in graph.nodes:
        make: Callable[..., int] = getattr(builder, f"_{node['kind'].lower()}")
        inputs = [builder.made[name] for name in node["inputs"]]
        builder.made[node["name"]] = make(node, *inputs)
    return builder.made


class _Builder:
    def __init__(self, table: Expressions, shapes: dict[str, Shape], graph: Graph) -> None:
        self.table = table
        self.shapes = shapes
        self.made: dict[str, int] = {}
        self.weights = {name for name, *_ in graph.parameters()}

    def _input(self, node: Node) -> int:
        return self.table.make("input")

    def _conv2d(self, node: Node, x: int) -> int:
        told = node["attributes"]
        name = node["name"]
        return self.table.conv(
            x,
            f"{name}.weight",
            f"{name}.bias" if told["bias"] else None,
            kernel=tuple(told["kernel_size"]),
            groups=told["groups"],
            **{key: tuple(told[key]) for key in ("stride", "padding", "dilation")},
        )

    def _batchnorm(self, node: Node, x: int) -> int:
        return self.table.make("batch_norm", x, of=node["name"], eps=node["attributes"]["eps"])

    def _layernorm(self, node: Node, x: int) -> int:
        return self.table.make("layer_norm", x, of=node["name"], eps=node["attributes"]["eps"])

    def _linear(self, node: Node, x: int) -> int:
        name = node["name"]
        bias = f"{name}.bias" if node["attributes"]["bias"] else None
        return self.table.make("linear", x, weight=f"{name}.weight", bias=bias)

    def _activation(self, node: Node, x: int) -> int:
        return self.table.make("activation", x, function=node["attributes"]["kind"])

    def _add(self, node: Node, *summands: int) -> int:
        return self.table.add(*summands)

    def _multiply(self, node: Node, a: int, b: int) -> int:
        return self.table.multiply(a, b)

    def _concat(self, node: Node, *parts: int) -> int:
        return self.table.make("concat", *parts, dim=1)

    def _globalavgpool(self, node: Node, x: int) -> int:
        return self.table.make("mean", x)

    def _dropout(self, node: Node, x: int) -> int:
        return x

    def _resize(self, node: Node, x: int, *like: int) -> int:
        before, after = self.shapes[node["inputs"][0]], self.shapes[node["name"]]
        return x if before == after else self.table.make("resize", x, size=after[2:])

    def _unfold(self, node: Node, x: int) -> int:
        base = self.shapes[node["inputs"][0]]
        return self.table.moved(x, base, _unfolded(base, node["attributes"]["patch"]))

    def _fold(self, node: Node, x: int, like: int) -> int:
        folded, base = self.shapes[node["name"]], self.shapes[node["inputs"][0]]
        # The inverse of unfolding: where each pixel of the map went.
        index = np.empty(folded, np.int64)
        places = _unfolded(folded, node["attributes"]["patch"]).ravel()
        index.ravel()[places] = np.arange(places.size)
        return self.table.moved(x, base, index)

    def _attention(self, node: Node, x: int) -> int:
        heads = node["attributes"]["heads"]
        packed = self.shapes[node["inputs"][0]]
        batch, length, features = packed
        size = features // 3 // heads
        # [B, N, 3, heads, size] -> three of [B, heads, N, size]
        index = np.arange(batch * length * features).reshape(batch, length, 3, heads, size)
        query, key, value = index.transpose(2, 0, 3, 1, 4)
        query, across, value = (
            self.table.moved(x, packed, part) for part in (query, key.swapaxes(-1, -2), value)
        )
        result = self.table.attention(query, across, value, size**-0.5)
        apart = (batch, heads, length, size)
        together = np.arange(batch * length * heads * size).reshape(apart).transpose(0, 2, 1, 3)
        return self.table.moved(result, apart, together.reshape(batch, length, heads * size))


def _unfolded(shape: Shape, patch: tuple[int, int]) -> Index:
    """[B, C, H, W] -> [B h w, N, C]: see `Unfold` in the engine's graph."""
    batch, channels, height, width = shape
    rows, columns = patch
    index = np.arange(batch * channels * height * width).reshape(
        batch, channels, height // rows, rows, width // columns, columns
    )
    sequences: Index = index.transpose(0, 3, 5, 2, 4, 1)
    return sequences.reshape(batch * rows * columns, -1, channels)

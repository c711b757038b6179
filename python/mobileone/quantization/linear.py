"""Linear layers as 1x1 convolutions, which integers can compute: of tokens, and the classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph, GraphBuilder, Network
from mobileone.quantization.sites import Node

__all__ = ["around_transformers", "is_classifier", "linear_as_convolutions", "of_tokens"]

Shapes = Mapping[str, tuple[int, ...]]

# Weights of a classifier from which on integers are read faster than float32 numbers: 256 KB.
_FEWEST_WEIGHTS = 1 << 16


def of_tokens(node: Node, shapes: Shapes) -> bool:
    """Whether a node is a linear layer on tokens [N, T, C]."""
    return bool(node["kind"] == "Linear" and len(shapes[node["name"]]) == 3)


def is_classifier(node: Node, shapes: Shapes) -> bool:
    """Whether a node is a linear layer of pooled features [N, C, 1, 1], and no small one."""
    if node["kind"] != "Linear":
        return False
    fields = node["attributes"]
    pooled = shapes[node["inputs"][0]][2:] == (1, 1)
    return pooled and bool(fields["in_features"] * fields["out_features"] >= _FEWEST_WEIGHTS)


def linear_as_convolutions(
    network: Network, shape: tuple[int, ...], chosen: Callable[[Node, Shapes], bool]
) -> Network:
    """The same function: of linear layers on tokens [N, T, C] 1x1 convolutions of the same name on
    maps [N, C, 1, T], and of a classifier one on its map [N, C, 1, 1]; an activation after it is on
    that map, too.

    Args:
        network: fused.
        shape: of an image [1, C, H, W].
        chosen: which nodes: `of_tokens`, `is_classifier`, or some of them.
    """
    graph = network.graph
    writer = _Writer(network, graph.shapes(shape), chosen)
    for node in graph.nodes:
        writer.add(node)
    for key, name in graph.outputs.items():
        writer.builder.output(writer.as_it_was(name), key)
    for name in graph.feature_names:
        writer.builder.feature(name)
    return Network(writer.builder.build(), writer.weights)


class _Writer:
    """The new graph as far as it is.

    Attributes:
        builder: its nodes.
        weights: of them.
    """

    def __init__(
        self, network: Network, shapes: Shapes, chosen: Callable[[Node, Shapes], bool]
    ) -> None:
        graph = network.graph
        self.builder = GraphBuilder()
        self.weights: dict[str, npt.NDArray[Any]] = dict(network.weights())
        self._shapes, self._chosen = shapes, chosen
        self._shown = {*graph.feature_names, *graph.outputs.values()}
        self._maps: dict[str, str] = {}  # by old node on tokens, or pooled: the same on a map
        self._made: dict[str, str] = {}  # by old node: what has its shape, if that is made

    def add(self, node: Node) -> None:
        """The node, or what takes its place."""
        name, kind, inputs = node["name"], node["kind"], node["inputs"]
        if self._chosen(node, self._shapes):
            self._convolution(name, inputs[0], node["attributes"])
        elif kind == "Activation" and inputs[0] in self._maps and name not in self._shown:
            source = self._maps[inputs[0]]
            self._maps[name] = self.builder.add(name, kind, [source], **node["attributes"])
        else:
            given = [self.as_it_was(source) for source in inputs]
            self._made[name] = self.builder.add(name, kind, given, **node["attributes"])

    def _convolution(self, name: str, source: str, fields: dict[str, Any]) -> None:
        sizes = {"in_channels": fields["in_features"], "out_channels": fields["out_features"]}
        made = self.builder.add(
            name, "Conv2d", [self._as_map(source)], kernel_size=1, bias=fields["bias"], **sizes
        )
        self._maps[name] = made
        key = f"{name}.weight"
        self.weights[key] = np.ascontiguousarray(self.weights[key][:, :, None, None])

    def _as_map(self, name: str) -> str:
        if len(self._shapes[name]) == 4:
            return self.as_it_was(name)
        if name not in self._maps:
            moved = f"{name}.channels_first"
            self.builder.add(moved, "Transpose", [self.as_it_was(name)], perm=(0, 2, 1))
            shape = (0, 0, 1, -1)
            self._maps[name] = self.builder.add(f"{name}.map", "Reshape", [moved], shape=shape)
        return self._maps[name]

    def as_it_was(self, name: str) -> str:
        """The node that has an old node's result in its shape."""
        if name not in self._made:
            flat, dimensions = f"{name}.flat", len(self._shapes[name])
            shape = (0, 0, -1)[:dimensions]
            self._made[name] = self.builder.add(flat, "Reshape", [self._maps[name]], shape=shape)
            if dimensions == 3:
                tokens = f"{name}.tokens"
                self._made[name] = self.builder.add(tokens, "Transpose", [flat], perm=(0, 2, 1))
        return self._made[name]


def around_transformers(graph: Graph) -> set[str]:
    """The convolutions that make the maps that are unfolded into tokens, and those that read them
    when they are folded back: with what is between them they are one step in float32.
    """
    nodes = {node["name"]: node for node in graph.nodes}
    found, folded = set(), set()
    for node in graph.nodes:
        source = node["inputs"][0] if node["inputs"] else ""
        if node["kind"] == "Unfold":
            while nodes[source]["kind"] == "Resize":
                source = nodes[source]["inputs"][0]
            found.add(source)
        elif node["kind"] == "Fold" or (node["kind"] == "Resize" and source in folded):
            folded.add(node["name"])
        elif source in folded:
            found.add(node["name"])
    return {name for name in found if nodes[name]["kind"] == "Conv2d"}

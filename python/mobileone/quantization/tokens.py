"""Linear layers of tokens as 1x1 convolutions, which integers can compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph, GraphBuilder, Network
from mobileone.quantization.sites import Node

__all__ = ["around_transformers", "linear_as_convolutions"]


def linear_as_convolutions(network: Network, shape: tuple[int, ...]) -> Network:
    """The same function: of every linear layer on tokens [N, T, C] a 1x1 convolution of the same
    name on maps [N, C, T, 1]; an activation after it is on that map, too.

    Args:
        network: fused.
        shape: of an image [1, C, H, W].
    """
    graph = network.graph
    writer = _Writer(network, shape)
    for node in graph.nodes:
        writer.add(node)
    for key, name in graph.outputs.items():
        writer.builder.output(name, key)
    for name in graph.feature_names:
        writer.builder.feature(name)
    return Network(writer.builder.build(), writer.weights)


class _Writer:
    """The new graph as far as it is.

    Attributes:
        builder: its nodes.
        weights: of them.
    """

    def __init__(self, network: Network, shape: tuple[int, ...]) -> None:
        graph = network.graph
        self.builder = GraphBuilder()
        self.weights: dict[str, npt.NDArray[Any]] = dict(network.weights())
        self._shapes = graph.shapes(shape)
        self._shown = {*graph.feature_names, *graph.outputs.values()}
        self._maps: dict[str, str] = {}  # by old node on tokens: the same on a map
        self._tokens: dict[str, str] = {}  # by old node: where its tokens are, if they are made

    def add(self, node: Node) -> None:
        """The node, or what takes its place."""
        name, kind, inputs = node["name"], node["kind"], node["inputs"]
        movable = name not in self._shown and len(self._shapes[name]) == 3
        if movable and kind == "Linear":
            self._convolution(name, inputs[0], node["attributes"])
        elif movable and kind == "Activation" and inputs[0] in self._maps:
            source = self._maps[inputs[0]]
            self._maps[name] = self.builder.add(name, kind, [source], **node["attributes"])
        else:
            given = [self._as_tokens(source) for source in inputs]
            self._tokens[name] = self.builder.add(name, kind, given, **node["attributes"])

    def _convolution(self, name: str, source: str, fields: dict[str, Any]) -> None:
        sizes = {"in_channels": fields["in_features"], "out_channels": fields["out_features"]}
        made = self.builder.add(
            name, "Conv2d", [self._as_map(source)], kernel_size=1, bias=fields["bias"], **sizes
        )
        self._maps[name] = made
        key = f"{name}.weight"
        self.weights[key] = np.ascontiguousarray(self.weights[key][:, :, None, None])

    def _as_map(self, name: str) -> str:
        if name not in self._maps:
            moved = f"{name}.channels_first"
            self.builder.add(moved, "Transpose", [self._as_tokens(name)], perm=(0, 2, 1))
            shape = (0, 0, -1, 1)
            self._maps[name] = self.builder.add(f"{name}.map", "Reshape", [moved], shape=shape)
        return self._maps[name]

    def _as_tokens(self, name: str) -> str:
        if name not in self._tokens:
            flat = f"{name}.flat"
            self.builder.add(flat, "Reshape", [self._maps[name]], shape=(0, 0, -1))
            tokens = f"{name}.tokens"
            self._tokens[name] = self.builder.add(tokens, "Transpose", [flat], perm=(0, 2, 1))
        return self._tokens[name]


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

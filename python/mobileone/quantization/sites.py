"""Which convolutions of a fused network can be computed in integers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mobileone._core import Graph

__all__ = ["Node", "Site", "find_sites", "readers_of"]

Node = Mapping[str, Any]

# What a sum of products of bytes may have, so that it fits 32 bits (graph/quantization.hpp).
_MOST_TERMS = (1 << 30) // (127 * 255)


@dataclass(frozen=True)
class Site:
    """A convolution that integers can compute, with the ReLU after it.

    Attributes:
        name: of the convolution's node.
        source: the node whose result it reads.
        result: the node whose result it makes: the ReLU's, or its own.
        attributes: of the convolution.
        float_result: whether its result is float32 numbers: a classifier's.
    """

    name: str
    source: str
    result: str
    attributes: Mapping[str, Any]
    float_result: bool = False

    @property
    def relu(self) -> bool:
        """Whether a ReLU follows, which is part of it."""
        return self.result != self.name

    @property
    def depthwise(self) -> bool:
        """Whether its input channels never mix."""
        return bool(self.attributes["groups"] == self.attributes["in_channels"])

    @property
    def kind(self) -> str:
        """For reports: "depthwise 3x3"."""
        rows, columns = self.attributes["kernel_size"]
        groups = self.attributes["groups"]
        name = "depthwise" if self.depthwise else "dense" if groups == 1 else "grouped"
        return f"{name} {rows}x{columns}"


def readers_of(graph: Graph) -> dict[str, list[Node]]:
    """By node: who reads its result."""
    readers: dict[str, list[Node]] = {node["name"]: [] for node in graph.nodes}
    for node in graph.nodes:
        for given in node["inputs"]:
            readers[given].append(node)
    return readers


def find_sites(graph: Graph) -> tuple[Site, ...]:
    """All of them, in the order of the graph. Convolutions of pooled values stay in float32: they
    cost nothing, and a gate's error is one of a whole channel; but for the classifier. So do
    dilated ones: no kernel of integers takes them.
    """
    readers, pooled = readers_of(graph), _pooled(graph)
    shown = {*graph.feature_names, *graph.outputs.values()}
    sites = []
    for node in graph.nodes:
        name, fields = node["name"], node["attributes"]
        if node["kind"] != "Conv2d" or name in graph.outputs.values():
            continue
        classifies = name in pooled and all(n["kind"] == "Reshape" for n in readers[name])
        if name in pooled and not classifies:
            continue
        rows, columns = fields["kernel_size"]
        if any(step != 1 for step in fields["dilation"]):
            continue
        if fields["in_channels"] // fields["groups"] * rows * columns > _MOST_TERMS:
            continue
        after = readers[name]
        fused = len(after) == 1 and _is_relu(after[0]) and name not in shown
        result = after[0]["name"] if fused else name
        sites.append(Site(name, node["inputs"][0], result, fields, classifies))
    return tuple(sites)


def _is_relu(node: Node) -> bool:
    return bool(node["kind"] == "Activation" and node["attributes"]["kind"] == "relu")


def _pooled(graph: Graph) -> set[str]:
    """Nodes that see an image only through a global pool."""
    found: set[str] = set()
    for node in graph.nodes:
        inputs = node["inputs"]
        if node["kind"] == "GlobalAvgPool" or (inputs and all(i in found for i in inputs)):
            found.add(node["name"])
    return found

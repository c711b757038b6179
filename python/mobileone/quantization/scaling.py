"""Scales moved from a convolution's output channels into whatever reads them.

Exact through ReLU, pools and gates: f(x s) = f(x) s for s > 0 (Nagel et al. 2019, section 4.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph
from mobileone.quantization.sites import Node, readers_of

__all__ = ["Reach", "find_reach", "scale_channels"]

_POSITIVE = ("relu", "leaky_relu")
_PASSES = ("GlobalAvgPool", "AvgPool", "MaxPool", "Dropout")

Weights = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Reach:
    """How far a scale of a convolution's output channels goes.

    Attributes:
        origin: the convolution.
        scaled: nodes whose results have the scale: it, and what passes it on.
        absorbers: convolutions and linear layers whose weights take it away.
    """

    origin: str
    scaled: tuple[str, ...]
    absorbers: tuple[Node, ...]


def find_reach(graph: Graph, origin: str) -> Reach | None:
    """None where something that reads it is not homogeneous, or it is a result of the network."""
    readers = readers_of(graph)
    scaled, absorbers = [origin], []
    marked = {origin}
    for node in graph.nodes:
        hit = [i for i, given in enumerate(node["inputs"]) if given in marked]
        if not hit:
            continue
        if _absorbs(node):
            absorbers.append(node)
        elif _passes(node, hit):
            marked.add(node["name"])
            scaled.append(node["name"])
        else:
            return None
    shown = set(graph.outputs.values())
    if marked & shown or any(not readers[name] for name in marked):
        return None
    return Reach(origin, tuple(scaled), tuple(absorbers))


def _absorbs(node: Node) -> bool:
    fields = node["attributes"]
    if node["kind"] == "Conv2d":
        return bool(fields["groups"] in (1, fields["in_channels"]))
    return str(node["kind"]) == "Linear"


def _passes(node: Node, hit: list[int]) -> bool:
    if node["kind"] == "Activation":
        return bool(node["attributes"]["kind"] in _POSITIVE)
    if node["kind"] == "Multiply":  # of a map by its gate, which has no scale
        return hit == [0]
    return str(node["kind"]) in _PASSES


def scale_channels(
    weights: Mapping[str, npt.NDArray[Any]], reach: Reach, divisors: npt.NDArray[np.float64]
) -> Weights:
    """The same function with `origin`'s channels divided by positive `divisors` [C]."""
    scaled = dict(weights)

    def multiply(name: str, factors: npt.NDArray[np.float64]) -> None:
        scaled[name] = (scaled[name].astype(np.float64) * factors).astype(np.float32)

    column = (-1, 1, 1, 1)
    multiply(f"{reach.origin}.weight", (1 / divisors).reshape(column))
    if f"{reach.origin}.bias" in scaled:
        multiply(f"{reach.origin}.bias", 1 / divisors)
    for node in reach.absorbers:
        name, fields = f"{node['name']}.weight", node["attributes"]
        if node["kind"] == "Linear":
            multiply(name, divisors[None])
        elif fields["groups"] == 1:
            multiply(name, divisors.reshape(1, -1, 1, 1))
        else:
            each = fields["out_channels"] // fields["in_channels"]
            multiply(name, np.repeat(divisors, each).reshape(column))
    return scaled

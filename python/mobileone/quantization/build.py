"""The graph with integers in it: what is quantized, convolved and dequantized where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone._core import Graph, GraphBuilder, Network
from mobileone.quantization.numbers import Integers, Range
from mobileone.quantization.segments import Weights
from mobileone.quantization.sites import Node, Site

__all__ = ["integer_network"]


def integer_network(
    graph: Graph,
    weights: Weights,
    sites: Iterable[Site],
    integers: Mapping[str, Integers],
    divisors: Mapping[str, npt.NDArray[np.float64]],
) -> Network:
    """A fused network with some of its convolutions in integers.

    Nodes keep their names: of a site the convolution has its own, and what it stands for, in
    float32, that of its result, where anything reads that.

    Args:
        graph: fused.
        weights: of it, with scales moved.
        sites: of it.
        integers: of those sites that become integers.
        divisors: by node, what its channels were divided by: feature levels are as they were.
    """
    writer = _Writer(graph, weights, {s.name: s for s in sites if s.name in integers}, integers)
    for node in graph.nodes:
        writer.add(node)
    for key, name in graph.outputs.items():
        writer.builder.output(writer.as_float(name), key)
    for name in graph.feature_names:
        writer.builder.feature(writer.as_shown(name, divisors.get(name)))
    return Network(writer.builder.build(), writer.weights)


class _Writer:
    """The new graph as far as it is.

    Attributes:
        builder: its nodes.
        weights: of them.
    """

    def __init__(
        self,
        graph: Graph,
        weights: Weights,
        sites: Mapping[str, Site],
        integers: Mapping[str, Integers],
    ) -> None:
        self.builder = GraphBuilder()
        self.weights: dict[str, npt.NDArray[Any]] = {}
        self._shown = set(graph.feature_names)
        self._old, self._sites, self._integers = weights, sites, integers
        self._inside = {site.result for site in sites.values()}
        self._bytes: dict[str, tuple[str, Range]] = {}
        self._floats: dict[str, str] = {}

    def add(self, node: Node) -> None:
        """The node, or what takes its place."""
        name = node["name"]
        if name in self._sites:
            self._convolution(self._sites[name])
        elif name not in self._inside:
            inputs = [self.as_float(given) for given in node["inputs"]]
            self.builder.add(name, node["kind"], inputs, **node["attributes"])
            self._floats[name] = name
            prefix = f"{name}."
            self.weights |= {
                key: w for key, w in self._old.items() if key.rpartition(".")[0] + "." == prefix
            }

    def _convolution(self, site: Site) -> None:
        found = self._integers[site.name]
        fields = {key: value for key, value in site.attributes.items() if key != "bias"}
        self.builder.add(
            site.name,
            "QuantizedConvolution",
            [self._as_bytes(site.source, found.input)],
            **fields,
            input_zero_point=found.input.zero_point,
            output_zero_point=found.output.zero_point,
            relu=site.relu,
            float_result=site.float_result,
        )
        self.weights |= {
            f"{site.name}.weight": found.weight,
            f"{site.name}.bias": found.bias,
            f"{site.name}.multiplier": found.multiplier,
        }
        if site.float_result:
            self._floats[site.result] = site.name
        else:
            self._bytes[site.result] = (site.name, found.output)

    def _as_bytes(self, name: str, wanted: Range) -> str:
        if name not in self._bytes:
            made = f"{name}.quantized"
            self.builder.add(
                made,
                "Quantize",
                [self.as_float(name)],
                scale=wanted.scale,
                zero_point=wanted.zero_point,
            )
            self._bytes[name] = (made, wanted)
        return self._bytes[name][0]

    def as_float(self, name: str) -> str:
        """The node that has an old node's result in float32, with its channels divided."""
        if name not in self._floats:
            source, meaning = self._bytes[name]
            made = f"{name}.dequantized"
            self.builder.add(
                made,
                "Dequantize",
                [source],
                scale=meaning.scale,
                zero_point=meaning.zero_point,
            )
            self._floats[name] = made
        return self._floats[name]

    def as_shown(self, name: str, divisors: npt.NDArray[np.float64] | None) -> str:
        """The node that has an old node's result as it was."""
        node = self.as_float(name)
        if divisors is None:
            return node
        factor, made = f"{name}.scale", f"{name}.scaled"
        shape = (1, len(divisors), 1, 1)
        self.builder.add(factor, "Constant", shape=shape)
        self.weights[f"{factor}.value"] = divisors.astype(np.float32).reshape(shape)
        self.builder.add(made, "Arithmetic", [node, factor], kind="multiply")
        return made

"""Which weights hold integers, and their types in files; in memory all are float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from mobileone._core import Graph, Network

__all__ = ["as_stored", "integer_types"]

_TYPES = {"weight": "int8", "bias": "int32"}


def integer_types(graph: Graph) -> dict[str, str]:
    """By name of a weight that holds integers: "int8" or "int32"."""
    return {
        f"{node['name']}.{part}": dtype
        for node in graph.nodes
        if node["kind"] == "QuantizedConvolution"
        for part, dtype in _TYPES.items()
    }


def as_stored(network: Network) -> dict[str, np.ndarray[Any, Any]]:
    """The weights by name, as files have them."""
    found = network.weights()
    return found | {n: found[n].astype(t) for n, t in integer_types(network.graph).items()}

"""What tensors a configuration has, asked of the engine's graph: the one place that knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .errors import Shape

# Canonical name -> shape of every weight of the network with this configuration.
ParameterShapes = Callable[[Mapping[str, Any]], Mapping[str, Shape]]


def graph_parameter_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Canonical name -> shape of every weight of a configuration, in the graph's order."""
    from mobileone.registry import graph_of

    return {name: tuple(shape) for name, shape, *_ in graph_of(dict(config)).parameters()}

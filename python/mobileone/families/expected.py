"""What tensors a configuration has and how they start, asked of the engine: the one that knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mobileone.util.errors import Shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# Canonical name -> shape of every weight of the network with this configuration.
ParameterShapes = Callable[[Mapping[str, Any]], Mapping[str, Shape]]


def graph_parameter_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Canonical name -> shape of every weight of a configuration, in the graph's order."""
    from mobileone.families.graph import graph_of

    return {name: tuple(shape) for name, shape, *_ in graph_of(dict(config)).parameters()}


def initial_weights(
    config: Mapping[str, Any], names: Iterable[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """These weights as `create_model` starts them with seed 0: for a new classifier."""
    from mobileone._core import initialize
    from mobileone.families.graph import graph_of

    weights = initialize(graph_of(dict(config)), 0).weights()
    return {name: weights[name] for name in names}

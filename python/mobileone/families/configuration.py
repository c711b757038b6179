"""A network's complete configuration: from its weights and what is known besides; its weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import initialize
from mobileone.families import family_of, graph_of
from mobileone.families.family import Family, copied
from mobileone.families.variants import CUSTOM, variant_of
from mobileone.util.checks import plain
from mobileone.util.errors import Shape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["ParameterShapes", "graph_parameter_shapes", "initial_weights"]
__all__ += ["recover_config", "with_given"]

# Canonical name -> shape of every weight of the network with this configuration.
ParameterShapes = Callable[[Mapping[str, Any]], Mapping[str, Shape]]


def recover_config(family: Family, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
    """The configuration of the network whose tensors have these canonical names and shapes.

    Args:
        family: that it is one of.
        shapes: canonical name -> shape.
        source: for messages.

    Returns:
        What `create_model` takes, and "arch": a variant's name or "custom". Fields that the weights
        do not show are the variant's, or as in published variants.

    Raises:
        CheckpointError: a part of the network of which nothing is there.
    """
    found = family.recover(shapes, source)
    config = family.mark | {
        f.name: found[f.name] if f.name in found else copied(f.unseen) for f in family.fields
    }
    config["form"] = found["form"]
    visible = tuple(field.name for field in family.structure() if field.name in found)
    config["arch"] = variant_of(config, visible)
    if config["arch"] != CUSTOM:
        variant = family.variants()[config["arch"]]
        config |= {key: value for key, value in variant.items() if key not in found}
    return config


def with_given(
    config: Mapping[str, Any], given: Mapping[str, Any], layout: str = ""
) -> dict[str, Any]:
    """The configuration with what the user says of it.

    Args:
        config: a complete one.
        given: fields that weights do not tell, and `output_stride`.
        layout: of the weights; see `Family.with_output_stride`.

    Raises:
        ValueError: a field that the tensors tell, or a value that it cannot have.
    """
    family = family_of(config)
    untold = family.unseen(config["form"])
    given = {key: plain(value) for key, value in given.items()}
    output_stride = given.pop("output_stride", None)
    for field, value in given.items():
        if field not in untold:
            known = ", ".join([*untold, "output_stride"])
            raise ValueError(
                f"config has {field!r}, which is read off the weights; what they do not tell of "
                f"a {family.name} in {config['form']} form: {known}"
            )
        kind = untold[field].kind
        if not kind.allows(value):
            raise ValueError(f"config[{field!r}] is {value!r}; expected {kind.expected}")
    changes = {key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}
    config = family.updated(config, changes)
    if output_stride is not None:
        if type(output_stride) is not int:
            raise ValueError(f"config['output_stride'] is {output_stride!r}; expected an integer")
        config = family.with_output_stride(config, output_stride, layout)
    return family.short(config)


def graph_parameter_shapes(config: Mapping[str, Any]) -> dict[str, Shape]:
    """Canonical name -> shape of every weight of a configuration, in the graph's order."""
    return {name: tuple(shape) for name, shape, *_ in graph_of(config).parameters()}


def initial_weights(
    config: Mapping[str, Any], names: Iterable[str]
) -> dict[str, npt.NDArray[np.float32]]:
    """These weights as `create_model` starts them with seed 0: for a new classifier."""
    weights = initialize(graph_of(config), 0).weights()
    return {name: weights[name] for name in names}

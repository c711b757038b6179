"""Files that this package has written of networks that were read from other programs' graphs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobileone.checkpoint.containers.file import RawCheckpoint, own_metadata
from mobileone.checkpoint.containers.tensors import CopyBudget
from mobileone.checkpoint.convert import Array, converted, copy_budget
from mobileone.checkpoint.report import LoadReport
from mobileone.checkpoint.sources import leaf_array, shape_of
from mobileone.families import find_family
from mobileone.families.configuration import graph_parameter_shapes
from mobileone.network.integers import integer_types
from mobileone.util.errors import CheckpointError, shown

__all__ = ["ARCHITECTURE", "imported_config", "imported_state"]

ARCHITECTURE = "imported"


def imported_config(raw: RawCheckpoint) -> dict[str, Any] | None:
    """The configuration that a file of ours says, if that is one of a graph that it holds.

    Raises:
        CheckpointError: a configuration that is damaged.
    """
    text = own_metadata(raw.metadata).get("config", "")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{raw.source}: damaged config in its metadata: {error}") from error
    if not isinstance(config, dict) or config.get("architecture") != ARCHITECTURE:
        return None
    if not find_family(ARCHITECTURE).is_config(config):
        raise CheckpointError(f"{raw.source}: the config in its metadata is no configuration")
    return config


def imported_state(
    raw: RawCheckpoint,
    tensors: Mapping[str, Any],
    config: Mapping[str, Any],
) -> tuple[dict[str, Any], LoadReport]:
    """The weights of the graph, and how they were understood.

    Args:
        raw: the container.
        tensors: by name.
        config: as `imported_config` gives it.

    Raises:
        CheckpointError: a graph that is none, or weights that are not its own.
    """
    try:
        expected = graph_parameter_shapes(config)
    except ValueError as error:
        raise CheckpointError(f"{raw.source}: damaged graph in its metadata: {error}") from error
    state, dtypes, budget = {}, Counter[str](), copy_budget(raw)
    whole = integer_types(find_family(ARCHITECTURE).graph(config))
    for name, shape in expected.items():
        found = shape_of(tensors[name]) if name in tensors else None
        if found != shape:
            what = "is missing" if found is None else f"has shape {found}"
            raise CheckpointError(f"{raw.source}: {shown(name)!r} {what}; expected {shape}")
        where = f"{raw.source}: {shown(name)}"
        dtype, array = leaf_array(where, tensors[name])
        dtypes[dtype] += 1
        if name in whole:
            state[name] = _whole(where, whole[name], dtype, array, budget)
        else:
            state[name] = converted(name, where, dtype, array, budget)
    report = LoadReport(
        raw.source, raw.format, "", None, (), (), ARCHITECTURE, dtypes, head="", missing=()
    )
    return state, report


def _whole(
    where: str, expected: str, dtype: str, array: np.ndarray[Any, Any], budget: CopyBudget | None
) -> Array:
    """Integers, as float32."""
    if dtype != expected:
        raise CheckpointError(f"{where}: dtype {dtype}; expected {expected}")
    if budget is not None:
        budget.charge(4 * array.size)
    return np.array(array, np.float32, order="C")

"""Reading a statement's inputs and attributes, which ONNX's operator sets have in turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mobileone.checkpoint.graphs.lowering import Lowering, Value
from mobileone.checkpoint.graphs.statement import Array, Statement

__all__ = ["array", "axes_of", "axis_of", "given", "integers", "number", "once", "pair"]


def given(values: Sequence[Value | None], index: int) -> Value | None:
    """The input, None where it is left out."""
    return values[index] if index < len(values) else None


def array(
    low: Lowering, statement: Statement, values: Sequence[Value | None], index: int, what: str
) -> Array:
    """An input that must be the same for all images."""
    value = given(values, index)
    if not isinstance(value, np.ndarray):
        low.program.refuse(statement, f"its {what} is computed; expected constants")
    return value


def integers(
    low: Lowering,
    statement: Statement,
    values: Sequence[Value | None],
    index: int,
    attribute: str,
) -> list[int] | None:
    """An attribute of older operator sets, an input of newer ones; None where it is left out."""
    if attribute in statement.attributes:
        return [int(n) for n in np.asarray(statement.attributes[attribute]).reshape(-1)]
    if given(values, index) is None:
        return None
    found = array(low, statement, values, index, attribute)
    return [int(n) for n in found.reshape(-1)]


def number(
    low: Lowering,
    statement: Statement,
    values: Sequence[Value | None],
    index: int,
    attribute: str,
) -> float | None:
    """The same of one number."""
    if attribute in statement.attributes:
        return float(statement.attributes[attribute])
    if given(values, index) is None:
        return None
    found = array(low, statement, values, index, attribute)
    return float(found.reshape(-1)[0])


def once(value: Array, axis: int) -> Array:
    """A constant that holds a copy for each image along an axis, once."""
    if value.shape[axis] == 1:
        return value
    one = np.take(value, [0], axis=axis)
    return one if np.array_equal(np.broadcast_to(one, value.shape), value) else value


def axis_of(axis: Any, rank: int) -> int:
    """An axis from the front; ValueError if there is none."""
    if not -rank <= int(axis) < rank:
        raise ValueError(f"axis is {axis} of {rank} dimensions")
    return int(axis) % rank


def axes_of(axes: Sequence[int] | None, rank: int) -> list[int]:
    """The same of several, in ascending order; all where none are given."""
    if axes is None:
        return list(range(rank))
    return sorted({axis_of(axis, rank) for axis in axes})


def pair(attributes: Any, name: str, default: int, rank: int = 2) -> list[int]:
    """One number per axis of a window."""
    found = attributes.get(name)
    return [default] * rank if found is None else [int(n) for n in found]

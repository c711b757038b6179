"""Checks of arguments that several functions have."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

__all__ = ["at_least", "flag", "height_and_width", "plain", "seed_of"]


def at_least(name: str, value: Any, minimum: int) -> int:
    """``value`` as an int; ValueError naming the argument unless it is an integer >= minimum."""
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} is {value!r}; expected an integer of at least {minimum}")
    return number


def flag(name: str, value: Any) -> bool:
    """``value`` as a bool; ValueError naming the argument for what is neither true nor false."""
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def plain(value: Any) -> Any:
    """NumPy's numbers and arrays as Python's numbers and lists, inside of containers too: they
    compare and are written to JSON as what they are.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(held) for key, held in value.items()}
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    return value


def height_and_width(name: str, size: Any, minimum: int, verb: str = "is") -> tuple[int, int]:
    """A size, one integer for both or a pair; ValueError naming the argument for anything else."""
    values = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(values) != 2:
        raise ValueError(f"{name} {verb} {size!r}; expected an integer or (height, width)")
    return at_least(name, values[0], minimum), at_least(name, values[1], minimum)


def seed_of(value: Any) -> int:
    """``value`` as a seed; ValueError unless it is an integer from 0 to 2^64 - 1."""
    seed = at_least("seed", value, 0)
    if seed >= 1 << 64:
        raise ValueError(f"seed is {seed}; expected at most 2^64 - 1")
    return seed

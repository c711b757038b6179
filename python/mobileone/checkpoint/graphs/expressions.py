"""Elementwise functions of one tensor: known by their values, however they are spelled.

A chain of elementwise operators on one tensor and numbers is a function of a real number. Whether
it is an activation of the engine is asked of its values at a hundred points: x * sigmoid(x),
x / (1 + exp(-x)) and Swish are one, and so are all spellings of GELU, hard-swish or Mish.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from mobileone._core import activation_values

__all__ = ["ARGUMENT", "FUNCTIONS", "Expression", "activation_of", "evaluate"]
__all__ += ["known_activations", "root_offset"]

# ("x",), ("number", value), or a function's name and its arguments.
Expression: TypeAlias = tuple[Any, ...]
ARGUMENT: Expression = ("x",)
Values = npt.NDArray[np.float64]

# Longer chains are no activation.
_MAX_DEPTH = 40


def _erf(x: Values) -> Values:
    return np.array([math.erf(value) if value == value else value for value in x.reshape(-1)])


def _sigmoid(x: Values) -> Values:
    e = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus(x: Values) -> Values:
    return np.logaddexp(0.0, x)


def _gelu(x: Values) -> Values:
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _gelu_tanh(x: Values) -> Values:
    argument = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return np.asarray(0.5 * x * (1 + np.tanh(argument)))


FUNCTIONS: dict[str, Callable[..., Values]] = {
    "Abs": np.abs,
    "Erf": _erf,
    "Exp": np.exp,
    "Log": np.log,
    "Neg": np.negative,
    "Reciprocal": np.reciprocal,
    "Relu": lambda x: np.maximum(x, 0),
    "Sigmoid": _sigmoid,
    "Softplus": _softplus,
    "Sqrt": np.sqrt,
    "Tanh": np.tanh,
    "Gelu": _gelu,
    "GeluTanh": _gelu_tanh,
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
    "Max": np.maximum,
    "Min": np.minimum,
    "Pow": np.power,
}


@cache
def _points() -> Values:
    """Where functions are compared: dense where they bend, and far out on both sides."""
    return np.concatenate([np.linspace(-8.013, 8.017, 97), [-40.3, -20.1, -0.0, 20.7, 40.9]])


@cache
def known_activations() -> dict[str, Values]:
    """The engine's, by name: their values where functions are compared."""
    return activation_values(_points())


def evaluate(expression: Expression, x: Values) -> Values:
    """The function's values."""
    if expression == ARGUMENT:
        return x
    if expression[0] == "number":
        return np.full(x.shape, expression[1])
    return FUNCTIONS[expression[0]](*(evaluate(given, x) for given in expression[1:]))


def activation_of(expression: Expression, unit: float) -> str | None:
    """The name of the engine's activation that it is; "" for the identity, None for neither.

    Args:
        expression: of one argument.
        unit: the unit roundoff of its numbers: 1/6 is stored as one of them. A few such numbers
            move a value by a few times that, relative to the argument.
    """
    if depth_of(expression) > _MAX_DEPTH:
        return None
    x = _points()
    with np.errstate(all="ignore"):
        y = evaluate(expression, x)
    room = 8 * unit * np.maximum(1.0, np.abs(x))
    if np.all(np.abs(y - x) <= room):
        return ""
    errors = {
        name: float(np.max(np.abs(y - known) / room)) for name, known in known_activations().items()
    }
    best = min(errors, key=lambda name: math.inf if math.isnan(errors[name]) else errors[name])
    return best if errors[best] <= 1 else None


def depth_of(expression: Expression) -> int:
    """How many functions are applied one after the other, at most."""
    arguments = [given for given in expression[1:] if isinstance(given, tuple)]
    return 1 + max(map(depth_of, arguments), default=0)


def root_offset(expression: Expression) -> tuple[bool, float] | None:
    """Of sqrt(x + eps) False and eps, of 1 / sqrt(x + eps) True and eps; else None."""
    x = np.geomspace(1e-3, 1e3, 23)
    with np.errstate(all="ignore"):
        y = evaluate(expression, x)
        for inverse, square in ((False, y**2), (True, y**-2.0)):
            offset = float(np.median(square[:12] - x[:12]))
            near = np.abs(square - x - offset) <= 1e-9 * (x + abs(offset))
            if np.all(near) and 0 <= offset < 1:
                return inverse, offset
    return None

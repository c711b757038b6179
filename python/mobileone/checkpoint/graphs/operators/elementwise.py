"""Operators on one element of each input, numbers and constants per channel among them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mobileone.checkpoint.graphs.lowering import (
    ARITHMETIC,
    Function,
    Handler,
    Lowering,
    Value,
)
from mobileone.checkpoint.graphs.operators.arguments import given, number, once
from mobileone.checkpoint.graphs.operators.norms import centred_norm, channel_norm, rescaled
from mobileone.checkpoint.graphs.statement import Array, Statement, floats
from mobileone.checkpoint.graphs.writer import Tensor

__all__ = ["ELEMENTWISE"]


def _single(low: Lowering, statement: Statement, value: Value | None) -> Value:
    """A tensor or a function of one."""
    if value is None:
        raise ValueError("its input is missing")
    return low.tensor(value, statement.name) if isinstance(value, np.ndarray) else value


def _applied(low: Lowering, name: str, kind: str, *arguments: Value | float) -> Value:
    """A function of values of which one is a tensor and the others numbers, or the same tensor."""
    function = low.function(name, kind, *arguments)
    if function is not None:
        return function
    tensors = [
        low.tensor(given, name) if isinstance(given, Function) else given for given in arguments
    ]
    function = low.function(name, kind, *tensors)
    if function is None:
        raise ValueError(f"{kind} of these inputs")
    return function


def _unary(kind: str) -> Handler:
    def handler(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
        return [_applied(low, statement.name, kind, _single(low, statement, values[0]))]

    return handler


def _binary(kind: str) -> Handler:
    def handler(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
        if len(values) == 1:
            return [_single(low, statement, values[0])]
        result = _pair(low, statement, kind, values[0], values[1])
        for further in values[2:]:
            result = _pair(low, statement, kind, result, further)
        return [result]

    return handler


def _pair(
    low: Lowering, statement: Statement, kind: str, a: Value | None, b: Value | None
) -> Value:
    if a is None or b is None:
        raise ValueError("an input is missing")
    function = low.function(statement.name, kind, a, b)
    if function is not None:
        return function
    norm = centred_norm(low, statement.name, kind, a, b)
    if norm is not None:
        return norm
    for value, other, reverse in ((a, b, False), (b, a, True)):
        if isinstance(other, np.ndarray) and not isinstance(value, np.ndarray):
            tensor = low.tensor(value, statement.name)
            absorbed = _absorbed(low, statement.name, kind, tensor, other, reverse)
            if absorbed is not None:
                return absorbed
    first, second = (low.tensor(_of_one_image(v, a, b), statement.name) for v in (a, b))
    if kind not in ARITHMETIC:
        low.program.refuse(statement, "of two tensors; expected a tensor and a number")
    maps = first.shape == second.shape and len(first.shape) == 4
    if kind == "Sub" and maps and first.batch == second.batch == 0:
        minus = np.full(first.shape[1], -1.0)  # a sum, whose branches can be merged
        name = f"{statement.name}.negated"
        second = channel_norm(low, name, second, minus, np.zeros_like(minus))
        return low.arithmetic(statement.name, "add", first, second)
    return low.arithmetic(statement.name, ARITHMETIC[kind], first, second)


def _of_one_image(value: Value, a: Value, b: Value) -> Value:
    """A constant that holds a copy for each image, once."""
    other = b if value is a else a
    if not isinstance(value, np.ndarray) or isinstance(other, np.ndarray):
        return value
    if other.batch is None:
        return value
    axis = other.batch - len(other.shape) + value.ndim
    return value if axis < 0 else once(value, axis)


def _affine(kind: str, array: Array, reverse: bool) -> tuple[Array, Array] | None:
    """Scale and shift of what an operator with a constant does to the other operand."""
    values = floats(array)
    one, zero = np.ones_like(values), np.zeros_like(values)
    forms: dict[tuple[str, bool], Callable[[], tuple[Array, Array]]] = {
        ("Add", False): lambda: (one, values),
        ("Add", True): lambda: (one, values),
        ("Sub", False): lambda: (one, -values),
        ("Sub", True): lambda: (-one, values),
        ("Mul", False): lambda: (values, zero),
        ("Mul", True): lambda: (values, zero),
        ("Div", False): lambda: (1.0 / values, zero),
    }
    form = forms.get((kind, reverse))
    if form is None:
        return None
    with np.errstate(all="ignore"):
        return form()


def _absorbed(
    low: Lowering, name: str, kind: str, x: Tensor, array: Array, reverse: bool
) -> Tensor | None:
    """A scale and a shift per channel, in the norm or the matrix before them, or as a norm."""
    form = _affine(kind, array, reverse)
    if form is None:
        return None
    scale, shift = form
    made = low.writer.made(x)
    channels = x.shape[-1]
    if _core(array.shape) == (channels,) and channels > 1 and array.ndim <= len(x.shape):
        rows = scale.reshape(channels), shift.reshape(channels)
        if made.kind == "LayerNorm":
            weights = rescaled(made.weights["weight"], made.weights["bias"], *rows)
            return low.writer.add(
                name, made.kind, made.inputs, x.shape, weights, batch=x.batch, **made.attributes
            )
        if made.kind == "Linear" and np.all(scale == 1) and not made.attributes["bias"]:
            weights = {**made.weights, "bias": rows[1]}
            attributes = {**made.attributes, "bias": True}
            return low.writer.add(
                name, made.kind, made.inputs, x.shape, weights, batch=x.batch, **attributes
            )
    if len(x.shape) != 4 or x.batch != 0 or _core(array.shape) != (x.shape[1], 1, 1):
        return None
    if low.writer.made(x).kind in ("MatMul", "Softmax"):
        return None  # a number for each head's scores, which are no map
    return channel_norm(low, name, x, scale.reshape(-1), shift.reshape(-1))


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Without leading extents of 1."""
    lead = next((axis for axis, extent in enumerate(shape) if extent != 1), len(shape))
    return shape[lead:]


def _clip(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    result = _single(low, statement, values[0])
    for kind, index, attribute in (("Max", 1, "min"), ("Min", 2, "max")):
        limit = number(low, statement, values, index, attribute)
        if limit is not None and abs(limit) < 3e38:
            result = _applied(low, statement.name, kind, result, limit)
    return [result]


def _hard_sigmoid(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    alpha = float(statement.attributes.get("alpha", 0.2))
    beta = float(statement.attributes.get("beta", 0.5))
    return [_line(low, statement.name, _single(low, statement, values[0]), alpha, beta)]


def _line(low: Lowering, name: str, x: Value, alpha: float, beta: float) -> Value:
    scaled = _applied(low, name, "Mul", x, alpha)
    line = _applied(low, name, "Add", scaled, beta)
    return _applied(low, name, "Min", _applied(low, name, "Max", line, 0.0), 1.0)


def _hard_swish(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = _single(low, statement, values[0])
    return [_applied(low, statement.name, "Mul", x, _line(low, statement.name, x, 1 / 6, 0.5))]


def _swish(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = _single(low, statement, values[0])
    alpha = float(statement.attributes.get("alpha", 1.0))
    scaled = x if alpha == 1.0 else _applied(low, statement.name, "Mul", x, alpha)
    gate = _applied(low, statement.name, "Sigmoid", scaled)
    return [_applied(low, statement.name, "Mul", x, gate)]


def _mish(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = _single(low, statement, values[0])
    gate = _applied(low, statement.name, "Tanh", _applied(low, statement.name, "Softplus", x))
    return [_applied(low, statement.name, "Mul", x, gate)]


def _gelu(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    approximate = statement.attributes.get("approximate", "none")
    kind = "GeluTanh" if approximate in ("tanh", b"tanh") else "Gelu"
    return [_applied(low, statement.name, kind, _single(low, statement, values[0]))]


def _leaky_relu(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    slope = float(statement.attributes.get("alpha", 0.01))
    return [_bent(low, statement.name, _single(low, statement, values[0]), slope)]


def _bent(low: Lowering, name: str, x: Value, slope: float) -> Value:
    above = _applied(low, name, "Relu", x)
    below = _applied(low, name, "Mul", _applied(low, name, "Min", x, 0.0), slope)
    return _applied(low, name, "Add", above, below)


def _prelu(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    slope, name = given(values, 1), statement.name
    if not isinstance(slope, np.ndarray):
        low.program.refuse(statement, "its slopes are computed; expected constants")
    x = _single(low, statement, values[0])
    if slope.size == 1:
        return [_bent(low, name, x, float(slope.reshape(-1)[0]))]
    above = _applied(low, f"{name}.above", "Relu", x)
    below = _applied(low, f"{name}.below", "Min", x, 0.0)
    bent = _pair(low, statement, "Mul", below, slope)
    return [_pair(low, statement, "Add", above, bent)]


def _pow(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    exponent = given(values, 1)
    x, name = _single(low, statement, values[0]), statement.name
    if not isinstance(exponent, np.ndarray) or exponent.size != 1:
        low.program.refuse(statement, "its exponent is not one number")
    power = float(exponent.reshape(-1)[0])
    if power in (2.0, 3.0):
        square = _applied(low, name, "Mul", x, x)
        return [square if power == 2.0 else _applied(low, name, "Mul", square, x)]
    if power in (0.5, -0.5):
        root = _applied(low, name, "Sqrt", x)
        return [root if power == 0.5 else _applied(low, name, "Reciprocal", root)]
    return [_applied(low, name, "Pow", x, power)]


ELEMENTWISE: dict[str, Handler] = {
    **{kind: _binary(kind) for kind in ("Add", "Sub", "Mul", "Div", "Max", "Min")},
    **{
        kind: _unary(kind)
        for kind in ("Abs", "Erf", "Exp", "Log", "Neg", "Reciprocal", "Relu", "Sigmoid")
    },
    **{kind: _unary(kind) for kind in ("Softplus", "Sqrt", "Tanh")},
    "Sum": _binary("Add"),
    "Clip": _clip,
    "Gelu": _gelu,
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _hard_swish,
    "LeakyRelu": _leaky_relu,
    "Mish": _mish,
    "Pow": _pow,
    "PRelu": _prelu,
    "Swish": _swish,
}

"""PyTorch's functions of one element of each input."""

from __future__ import annotations

from typing import Any

from mobileone.checkpoint.graphs.calls import Call, Operator

__all__ = ["ELEMENTWISE"]


def _unary(kind: str, **attributes: Any) -> Operator:
    return lambda call: call.add(kind, call["self"], **attributes)


def _binary(kind: str) -> Operator:
    def convert(call: Call) -> None:
        other, alpha = call["other"], call.get("alpha", 1)
        if call.get("rounding_mode") is not None:
            call.refuse("it rounds")
        if alpha not in (None, 1):
            other = call.inner("Mul", other, alpha)
        call.add(kind, call["self"], other)

    return convert


def _clamp(call: Call) -> None:
    low, high = call.get("min"), call.get("max")
    call.add("Clip", call["self"], low, high)


def _hardtanh(call: Call) -> None:
    call.add("Clip", call["self"], call["min_val"], call["max_val"])


def _softplus(call: Call) -> None:
    if call["beta"] != 1:
        call.refuse(f"beta is {call['beta']}; expected 1")
    call.add("Softplus", call["self"])


def _pow(call: Call) -> None:
    call.add("Pow", call["self"], call["exponent"])


def _rsub(call: Call) -> None:
    call.add("Sub", call["other"], call["self"])


def _addcmul(call: Call) -> None:
    factor = call.inner("Mul", call["tensor1"], call["tensor2"])
    if call["value"] != 1:
        factor = call.inner("Mul", factor, call["value"])
    call.add("Add", call["self"], factor)


def _gelu(call: Call) -> None:
    call.add("Gelu", call["self"], approximate=call["approximate"])


def _leaky_relu(call: Call) -> None:
    call.add("LeakyRelu", call["self"], alpha=float(call["negative_slope"]))


def _prelu(call: Call) -> None:
    slope = call.array("weight")
    per_channel = slope.reshape(-1, *[1] * (len(call.shape) - 2))
    call.add("PRelu", call["self"], call.constant(slope if slope.size == 1 else per_channel))


def _rsqrt(call: Call) -> None:
    call.add("Reciprocal", call.inner("Sqrt", call["self"]))


ELEMENTWISE: dict[str, Operator] = {
    **{name: _binary(kind) for name, kind in (
        ("add", "Add"), ("sub", "Sub"), ("subtract", "Sub"), ("mul", "Mul"), ("multiply", "Mul"),
        ("div", "Div"), ("divide", "Div"), ("true_divide", "Div"), ("maximum", "Max"),
        ("minimum", "Min"),
    )},
    **{name: _unary(kind) for name, kind in (
        ("abs", "Abs"), ("erf", "Erf"), ("exp", "Exp"), ("hardswish", "HardSwish"),
        ("log", "Log"), ("mish", "Mish"), ("neg", "Neg"), ("reciprocal", "Reciprocal"),
        ("relu", "Relu"), ("sigmoid", "Sigmoid"), ("silu", "Swish"), ("sqrt", "Sqrt"),
        ("tanh", "Tanh"),
    )},
    **dict.fromkeys(("clamp", "clamp_max", "clamp_min"), _clamp),
    "addcmul": _addcmul,
    "gelu": _gelu,
    "hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
    "pow": _pow,
    "prelu": _prelu,
    "relu6": _unary("Clip", min=0.0, max=6.0),
    "rsqrt": _rsqrt,
    "rsub": _rsub,
    "softplus": _softplus,
}  # fmt: skip

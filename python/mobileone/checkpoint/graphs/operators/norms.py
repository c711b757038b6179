"""Reductions, and the norms that are made of them, whole or spelled out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobileone.checkpoint.graphs.expressions import root_offset
from mobileone.checkpoint.graphs.lowering import Function, Handler, Lowering, Value
from mobileone.checkpoint.graphs.operators.arguments import array, axes_of, given, integers
from mobileone.checkpoint.graphs.operators.shapes import squeezed
from mobileone.checkpoint.graphs.statement import Array, Statement, floats
from mobileone.checkpoint.graphs.writer import Tensor

__all__ = ["NORMS", "as_map", "centred_norm", "channel_norm", "rescaled"]


def reduced(low: Lowering, name: str, x: Tensor, kind: str, axes: Sequence[int]) -> Tensor:
    """Mean, sum or norm along axes, which stay; of maps the pooling that it is."""
    if x.batch in axes:
        raise NotImplementedError(f"{low.program.where}: node {name!r} mixes images")
    if kind == "mean" and len(x.shape) == 4 and list(axes) == [2, 3] and x.batch == 0:
        return low.writer.add(name, "GlobalAvgPool", [x], (*x.shape[:2], 1, 1))
    shape = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
    return low.writer.add(
        name, "Reduce", [x], shape, batch=x.batch, kind=kind, axes=[int(n) for n in axes]
    )


def _reduction(kind: str) -> Handler:
    def handler(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
        x = low.tensor(values[0], statement.name)
        asked = integers(low, statement, values, 1, "axes")
        if not asked and statement.attributes.get("noop_with_empty_axes", 0):
            return [x]
        axes = axes_of(asked or None, len(x.shape))
        y = reduced(low, statement.name, x, kind, axes)
        if statement.attributes.get("keepdims", 1):
            return [y]
        return [squeezed(low, f"{statement.name}.shape", y, axes)]

    return handler


def layer_norm(
    low: Lowering,
    name: str,
    x: Tensor,
    axes: Sequence[int],
    eps: float,
    weight: Array | None = None,
    bias: Array | None = None,
) -> Tensor:
    """Of the last axes, or of one that is brought there and back."""
    rank = len(x.shape)
    if len(axes) == 1 and axes[0] != rank - 1:
        order = [axis for axis in range(rank) if axis != axes[0]] + [axes[0]]
        moved = low.transposed(f"{name}.last", x, order)
        y = layer_norm(low, name, moved, [rank - 1], eps, weight, bias)
        return low.transposed(f"{name}.back", y, np.argsort(order).tolist())
    if list(axes) != list(range(rank - len(axes), rank)) or x.batch in axes:
        raise ValueError(f"normalises axes {list(axes)} of {x.shape}")
    channels = int(np.prod([x.shape[axis] for axis in axes], dtype=np.int64))
    flat = low.reshaped(f"{name}.flat", x, (*x.shape[: rank - len(axes)], channels))
    weights = {
        "weight": np.ones(channels) if weight is None else weight.reshape(channels),
        "bias": np.zeros(channels) if bias is None else bias.reshape(channels),
    }
    y = low.writer.add(
        name, "LayerNorm", [flat], flat.shape, weights, batch=x.batch, channels=channels, eps=eps
    )
    return low.reshaped(f"{name}.shape", y, x.shape, x.batch)


def _layer_normalization(
    low: Lowering, statement: Statement, values: list[Value | None]
) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    first = axes_of([int(statement.attributes.get("axis", -1))], len(x.shape))[0]
    eps = float(statement.attributes.get("epsilon", 1e-5))
    weight = None if given(values, 1) is None else array(low, statement, values, 1, "scale")
    bias = None if given(values, 2) is None else array(low, statement, values, 2, "bias")
    axes = range(first, len(x.shape))
    return [layer_norm(low, statement.name, x, axes, eps, weight, bias)]


def as_map(low: Lowering, name: str, x: Tensor) -> Tensor:
    """(N, C, H, W) as it is, any other (N, C, ...) with all that follows as its height."""
    if len(x.shape) == 4:
        return x
    rest = int(np.prod(x.shape[2:], dtype=np.int64))
    return low.reshaped(f"{name}.map", x, (*x.shape[:2], rest, 1))


def rescaled(weight: Array, bias: Array, scale: Array, shift: Array) -> dict[str, Array]:
    """A norm's weights with a scale and a shift after it."""
    return {"weight": floats(weight) * scale, "bias": floats(bias) * scale + shift}


def channel_norm(low: Lowering, name: str, x: Tensor, scale: Array, shift: Array) -> Tensor:
    """A batch norm that multiplies by the scale and adds the shift."""
    made = low.writer.made(x)
    if made.kind == "BatchNorm":
        weights = rescaled(made.weights["weight"], made.weights["bias"], scale, shift)
        weights = {**made.weights, **weights}
        return low.writer.add(name, "BatchNorm", made.inputs, x.shape, weights, **made.attributes)
    channels = x.shape[1]
    weights = {"weight": scale, "bias": shift}
    weights |= {"running_mean": np.zeros(channels), "running_var": np.ones(channels)}
    return low.writer.add(name, "BatchNorm", [x], x.shape, weights, channels=channels, eps=0.0)


def _group_norm(low: Lowering, name: str, x: Tensor, groups: int, eps: float) -> Tensor:
    """Without weights."""
    count = int(np.prod(x.shape, dtype=np.int64))
    rows = low.reshaped(f"{name}.groups", x, (x.shape[0], groups, count // x.shape[0] // groups))
    return low.reshaped(f"{name}.shape", layer_norm(low, name, rows, [2], eps), x.shape, x.batch)


def _scaled(
    low: Lowering, statement: Statement, x: Tensor, values: list[Value | None]
) -> list[Value]:
    """With a weight and a bias per channel, as a batch norm of fixed statistics."""
    name = f"{statement.name}.scale"
    scale = array(low, statement, values, 1, "scale").reshape(x.shape[1])
    shift = array(low, statement, values, 2, "bias").reshape(x.shape[1])
    y = channel_norm(low, name, as_map(low, name, x), scale, shift)
    return [low.reshaped(f"{name}.shape", y, x.shape)]


def _images(low: Lowering, statement: Statement, value: Value | None) -> Tensor:
    x = low.tensor(value, statement.name)
    if len(x.shape) < 3 or x.batch != 0:
        low.program.refuse(statement, f"its input has shape {x.shape}; expected (N, C, ...)")
    return x


def _instance_norm(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = _images(low, statement, values[0])
    eps = float(statement.attributes.get("epsilon", 1e-5))
    y = _group_norm(low, statement.name, x, x.shape[1], eps)
    return _scaled(low, statement, y, values)


def _group_normalization(
    low: Lowering, statement: Statement, values: list[Value | None]
) -> list[Value]:
    x = _images(low, statement, values[0])
    groups = int(statement.attributes["num_groups"])
    eps = float(statement.attributes.get("epsilon", 1e-5))
    if array(low, statement, values, 1, "scale").size != x.shape[1]:
        low.program.refuse(statement, "its scale is one per group; expected one per channel")
    y = _group_norm(low, statement.name, x, groups, eps)
    return _scaled(low, statement, y, values)


def centred_norm(low: Lowering, name: str, kind: str, a: Value, b: Value) -> Tensor | None:
    """The layer norm that (x - mean) / sqrt(mean of its square + eps) is; None if it is none."""
    if kind not in ("Div", "Mul"):
        return None
    for centred, root in ((a, b), (b, a)) if kind == "Mul" else ((a, b),):
        if not isinstance(root, Function) or not isinstance(centred, Tensor):
            continue
        offset = root_offset(root.expression)
        if offset is None or offset[0] != (kind == "Mul"):
            continue
        found = _normalized(low, centred, root.base)
        if found is not None:
            x, axes = found
            return layer_norm(low, name, x, axes, offset[1])
    return None


def _normalized(
    low: Lowering, centred: Tensor, variance: Tensor
) -> tuple[Tensor, list[int]] | None:
    """What is normalised along which axes, if these are its difference to its mean and the mean
    of that squared.
    """
    made = low.writer.made(variance)
    if made.kind != "Reduce" or made.attributes["kind"] != "mean":
        return None
    axes = made.attributes["axes"]
    square = low.writer.made(made.inputs[0])
    if square.inputs != (centred, centred) or square.kind not in ("Multiply", "Arithmetic"):
        return None
    difference = low.writer.made(centred)
    if square.attributes.get("kind", "multiply") != "multiply" or difference.kind != "Arithmetic":
        return None
    if difference.attributes["kind"] != "subtract":
        return None
    x, mean = difference.inputs
    averaged = low.writer.made(mean)
    same = averaged.kind == "Reduce" and averaged.attributes == made.attributes
    return (x, axes) if same and averaged.inputs == (x,) else None


NORMS: dict[str, Handler] = {
    "GroupNormalization": _group_normalization,
    "InstanceNormalization": _instance_norm,
    "LayerNormalization": _layer_normalization,
    "ReduceL2": _reduction("norm"),
    "ReduceMean": _reduction("mean"),
    "ReduceSum": _reduction("sum"),
}

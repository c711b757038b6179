"""Matrix products, and softmax between them."""

from __future__ import annotations

import math

import numpy as np

from mobileone.checkpoint.graphs.lowering import Handler, Lowering, Value
from mobileone.checkpoint.graphs.operators.arguments import array, axis_of, given
from mobileone.checkpoint.graphs.operators.shapes import expanded
from mobileone.checkpoint.graphs.statement import Array, Statement, floats
from mobileone.checkpoint.graphs.writer import Tensor

__all__ = ["PRODUCTS"]


def linear(low: Lowering, name: str, x: Tensor, weight: Array, bias: Array | None) -> Tensor:
    """x times the transposed weight [out, in], over the last axis."""
    out, features = weight.shape
    if not x.shape or x.shape[-1] != features or x.batch == len(x.shape) - 1:
        raise ValueError(f"multiplies {x.shape} by a matrix of {features} rows")
    shape = (*x.shape[:-1], out)
    made = low.writer.made(x)
    if made.kind == "Reshape" and made.inputs[0].shape == (*x.shape, 1, 1):
        x = made.inputs[0]  # a pooled map is as good
    if len(x.shape) == 1:
        raise ValueError(f"multiplies a vector {x.shape}")
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias.reshape(out)})
    fields = {"in_features": features, "out_features": out}
    return low.writer.add(
        name, "Linear", [x], shape, weights, batch=x.batch, bias=bias is not None, **fields
    )


def product(low: Lowering, name: str, a: Tensor, b: Tensor) -> Tensor:
    """Of matrices along the last two axes."""
    if len(a.shape) < 2 or len(b.shape) < 2 or a.shape[-1] != b.shape[-2]:
        raise ValueError(f"multiplies {a.shape} and {b.shape}")
    rank = max(len(a.shape), len(b.shape))
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = (_led(low, f"{name}.{side}", x, lead, rank) for side, x in (("a", a), ("b", b)))
    a, b = _of_each_image(low, f"{name}.a", a, b), _of_each_image(low, f"{name}.b", b, a)
    if a.batch != b.batch:
        raise ValueError("of two tensors whose images lie along different axes")
    shape = (*lead, a.shape[-2], b.shape[-1])
    return low.writer.add(name, "MatMul", [a, b], shape, batch=a.batch, features=a.shape[-1])


def _led(low: Lowering, name: str, x: Tensor, lead: tuple[int, ...], rank: int) -> Tensor:
    """With these extents before the matrices."""
    shape = (1,) * (rank - len(x.shape)) + x.shape
    batch = None if x.batch is None else x.batch + rank - len(x.shape)
    x = low.reshaped(f"{name}.rank", x, shape, batch)
    return expanded(low, name, x, (*lead, *x.shape[-2:]))


def _of_each_image(low: Lowering, name: str, x: Tensor, other: Tensor) -> Tensor:
    """A constant beside images, once for each of them."""
    if x.batch is not None or other.batch != 0:
        return x
    one = low.sliced(f"{name}.one", x, 0, 0, 1) if x.shape[0] != 1 else x
    return low.writer.add(f"{name}.expand", "Expand", [one, other], (other.shape[0], *x.shape[1:]))


def _mat_mul(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    a, b = values[0], values[1]
    name = statement.name
    if isinstance(b, np.ndarray) and b.ndim == 2:
        return [linear(low, name, low.tensor(a, name), b.T, None)]
    if isinstance(a, np.ndarray) and a.ndim == 2:
        x = low.tensor(b, name)
        order = [*range(len(x.shape) - 2), len(x.shape) - 1, len(x.shape) - 2]
        turned = low.transposed(f"{name}.turned", x, order)
        return [low.transposed(f"{name}.back", linear(low, name, turned, a, None), order)]
    return [product(low, name, low.tensor(a, name), low.tensor(b, name))]


def _gemm(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    attributes = statement.attributes
    if attributes.get("transA", 0):
        low.program.refuse(statement, "transA is 1; expected 0")
    weight = floats(array(low, statement, values, 1, "matrix"))
    weight = weight if attributes.get("transB", 0) else weight.T
    weight = weight * float(attributes.get("alpha", 1.0))
    bias = None
    if given(values, 2) is not None:
        bias = floats(array(low, statement, values, 2, "bias")) * float(attributes.get("beta", 1.0))
        bias = np.broadcast_to(bias.reshape(-1), (weight.shape[0],))
    x = low.tensor(values[0], statement.name)
    if len(x.shape) != 2:
        raise ValueError(f"its input has shape {x.shape}")
    return [linear(low, statement.name, x, weight, bias)]


def softmax(low: Lowering, name: str, x: Tensor, axis: int) -> Tensor:
    """Along one axis, which is not that of images."""
    if axis == x.batch:
        raise NotImplementedError(f"{low.program.where}: node {name!r} mixes images")
    return low.writer.add(name, "Softmax", [x], x.shape, batch=x.batch, axis=axis)


def _softmax(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    old = low.program.opset < 13
    axis = axis_of(statement.attributes.get("axis", 1 if old else -1), len(x.shape))
    if not old or axis == len(x.shape) - 1:
        return [softmax(low, statement.name, x, axis)]
    rest = int(np.prod(x.shape[axis:], dtype=np.int64))  # all axes from there on, as one
    rows = low.reshaped(f"{statement.name}.rows", x, (*x.shape[:axis], rest))
    return [
        low.reshaped(
            f"{statement.name}.shape", softmax(low, statement.name, rows, axis), x.shape, x.batch
        )
    ]


def _attention(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """scaled_dot_product_attention of [..., N, d], with a constant added to the scores."""
    name = statement.name
    query, key, value = (low.tensor(values[i], name) for i in range(3))
    scale = statement.attributes.get("scale")
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else float(scale)
    rank = len(key.shape)
    keys = low.transposed(f"{name}.keys", key, [*range(rank - 2), rank - 1, rank - 2])
    number = low.constant(np.float32(scale), f"{name}.factor")
    scores = product(
        low, f"{name}.scores", low.arithmetic(f"{name}.scaled", "multiply", query, number), keys
    )
    mask = given(values, 3)
    if mask is not None:
        if isinstance(mask, np.ndarray) and mask.dtype == np.bool_:
            mask = np.where(mask, 0.0, np.finfo(np.float32).min)
        scores = low.arithmetic(f"{name}.masked", "add", scores, low.tensor(mask, f"{name}.mask"))
    weights = softmax(low, f"{name}.weights", scores, len(scores.shape) - 1)
    return [product(low, name, weights, value)]


PRODUCTS: dict[str, Handler] = {
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "ScaledDotProductAttention": _attention,
    "Softmax": _softmax,
}

"""Operators that move elements without changing them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from mobileone.checkpoint.graphs.lowering import Lowering, Value
from mobileone.checkpoint.graphs.operators.arguments import (
    array,
    axes_of,
    axis_of,
    given,
    integers,
    number,
    once,
)
from mobileone.checkpoint.graphs.statement import Statement
from mobileone.checkpoint.graphs.writer import Tensor

__all__ = ["SHAPES", "expanded", "squeezed"]

_FAR = 1 << 31
_MAX_GATHERED = 256
# Types of 16 bits, by ONNX's numbers of them.
_FLOAT16, _BFLOAT16 = 10, 16
_HALVES = {_FLOAT16: "float16", _BFLOAT16: "bfloat16"}


def _identity(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    if values[0] is None:
        raise ValueError("its input is missing")
    return [values[0]]


def _dropout(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    mode = given(values, 2)
    if isinstance(mode, np.ndarray) and mode.any():
        low.program.refuse(statement, "it is in training mode; export the network in eval mode")
    return _identity(low, statement, values)


def _cast(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    to = statement.attributes.get("to")
    if to not in (1, 11, *_HALVES):
        low.program.refuse(statement, "it makes images something else than floating point")
    if to in _HALVES and low.program.narrow != to:
        low.program.refuse(
            statement,
            f"it rounds images to {_HALVES[to]} in a network of float32; expected no such rounding",
        )
    return _identity(low, statement, values)


def _cast_like(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    like = values[1]
    taken = [np.float32, np.float64, *([np.float16] if low.program.narrow == _FLOAT16 else [])]
    if isinstance(like, np.ndarray) and like.dtype not in taken:
        low.program.refuse(statement, f"it makes images {like.dtype}")
    return _identity(low, statement, values)


def _shape(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    shape = values[0].shape  # type: ignore[union-attr]
    start, end = statement.attributes.get("start", 0), statement.attributes.get("end", _FAR)
    return [np.array(shape[int(start) : int(end)], np.int64)]


def _size(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    return [np.array(np.prod(values[0].shape, dtype=np.int64))]  # type: ignore[union-attr]


def _reshape(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    shape = integers(low, statement, values, 1, "shape") or []
    if not statement.attributes.get("allowzero", 0):
        shape = [n if n else x.shape[axis] for axis, n in enumerate(shape)]
    if shape.count(-1) == 1:
        known = int(np.prod([n for n in shape if n != -1], dtype=np.int64))
        count = int(np.prod(x.shape, dtype=np.int64))
        shape[shape.index(-1)] = count // max(known, 1)
    return [low.reshaped(statement.name, x, shape)]


def _flatten(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    axis = int(statement.attributes.get("axis", 1))
    axis += len(x.shape) if axis < 0 else 0
    sizes = [int(np.prod(part, dtype=np.int64)) for part in (x.shape[:axis], x.shape[axis:])]
    return [low.reshaped(statement.name, x, sizes)]


def squeezed(low: Lowering, name: str, x: Tensor, axes: Sequence[int]) -> Tensor:
    """Without these axes, of extent 1."""
    shape = [n for axis, n in enumerate(x.shape) if axis not in axes]
    batch = None if x.batch is None else x.batch - sum(axis < x.batch for axis in axes)
    return low.reshaped(name, x, shape, batch)


def _squeeze(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    asked = integers(low, statement, values, 1, "axes")
    if asked is None:
        asked = [axis for axis, n in enumerate(x.shape) if n == 1 and axis != x.batch]
    axes = axes_of(asked, len(x.shape))
    if any(x.shape[axis] != 1 for axis in axes):
        raise ValueError(f"squeezes axes {axes} of {x.shape}")
    return [squeezed(low, statement.name, x, axes)]


def _unsqueeze(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    asked = integers(low, statement, values, 1, "axes") or []
    axes = axes_of(asked, len(x.shape) + len(asked))
    shape, batch = list(x.shape), x.batch
    for axis in axes:
        shape.insert(axis, 1)
        if batch is not None and axis <= batch:
            batch += 1
    return [low.reshaped(statement.name, x, shape, batch)]


def _transpose(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    perm = statement.attributes.get("perm", tuple(reversed(range(len(x.shape)))))
    return [low.transposed(statement.name, x, perm)]


def joined(low: Lowering, name: str, values: Sequence[Value | None], axis: int) -> Tensor:
    """Tensors one after the other; constants beside images are repeated for each."""
    first = next(low.tensor(v, name) for v in values if not isinstance(v, np.ndarray))
    axis = axis_of(axis, len(first.shape))
    if axis == first.batch:
        raise NotImplementedError(f"{low.program.where}: node {name!r} joins batches of images")
    parts = []
    for value in values:
        if isinstance(value, np.ndarray) and first.batch is not None:
            value = once(value, first.batch)
        part = low.tensor(value, name)
        if part.batch is None and first.batch == 0:
            shape = (first.shape[0], *part.shape[1:])
            part = low.writer.add(f"{name}.expand", "Expand", [part, first], shape)
        if part.batch != first.batch or len(part.shape) != len(first.shape):
            raise ValueError(f"joins {first.shape} and {part.shape}")
        parts.append(part)
    whole = list(first.shape)
    whole[axis] = sum(part.shape[axis] for part in parts)
    return low.writer.add(name, "Concat", parts, whole, batch=first.batch, axis=axis)


def _concat(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    return [joined(low, statement.name, values, int(statement.attributes["axis"]))]


def _split(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    axis = axis_of(statement.attributes.get("axis", 0), len(x.shape))
    sizes = integers(low, statement, values, 1, "split")
    if sizes is None:
        count = int(statement.attributes.get("num_outputs", len(statement.outputs)))
        size = -(-x.shape[axis] // count)
        sizes = [min(size, x.shape[axis] - i * size) for i in range(count)]
    if min(sizes) < 0 or sum(sizes) != x.shape[axis]:
        raise ValueError(f"splits axis {axis} of {x.shape} into {sizes}")
    ends = np.cumsum(sizes)
    return [
        low.sliced(f"{statement.name}.{i}", x, axis, int(end) - size, int(end))
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


def _slice(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    starts = integers(low, statement, values, 1, "starts") or []
    ends = integers(low, statement, values, 2, "ends") or []
    axes = integers(low, statement, values, 3, "axes") or list(range(len(starts)))
    steps = integers(low, statement, values, 4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, len(x.shape))
        picked = range(x.shape[place])[slice(start, end, step)]
        x = _picked(low, statement.name, x, place, picked)
    return [x]


def _picked(low: Lowering, name: str, x: Tensor, axis: int, places: Sequence[int]) -> Tensor:
    """Elements of an axis at these places, in their order."""
    steps = {b - a for a, b in pairwise(places)}
    if not places:
        raise ValueError("takes no element")
    if not steps or (len(steps) == 1 and min(steps) > 0):
        step = steps.pop() if steps else 1
        return low.sliced(name, x, axis, places[0], places[-1] + 1, step)
    if len(places) > _MAX_GATHERED:
        raise ValueError(f"takes {len(places)} elements in no regular order")
    parts = [low.sliced(f"{name}.{i}", x, axis, i, i + 1) for i in places]
    return joined(low, name, parts, axis)


def _gather(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    places = array(low, statement, values, 1, "indices")
    axis = axis_of(statement.attributes.get("axis", 0), len(x.shape))
    extent = x.shape[axis]
    if places.size and not -extent <= int(places.min()) <= int(places.max()) < extent:
        raise ValueError(f"indices from {places.min()} to {places.max()} of {extent}")
    flat = [int(place) % extent for place in places.reshape(-1)]
    y = _picked(low, statement.name, x, axis, flat)
    shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    batch = None if x.batch is None else x.batch + (places.ndim - 1) * (axis < x.batch)
    return [low.reshaped(f"{statement.name}.shape", y, shape, batch)]


def expanded(low: Lowering, name: str, x: Tensor, target: Sequence[int]) -> Tensor:
    """Repeated along axes of extent 1."""
    shape = np.broadcast_shapes(x.shape, tuple(int(n) for n in target))
    if shape == x.shape:
        return x
    own = (1,) * (len(shape) - len(x.shape)) + x.shape
    ones = [n if n != extent else 1 for n, extent in zip(shape, own, strict=True)]
    return low.arithmetic(name, "multiply", x, low.constant(np.ones(ones, np.float32), name))


def _expand(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    return [expanded(low, statement.name, x, integers(low, statement, values, 1, "shape") or [])]


def _pad(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    mode = statement.attributes.get("mode", "constant")
    if mode not in ("constant", b"constant"):
        low.program.refuse(statement, f"mode is {mode!r}; expected 'constant'")
    pads = integers(low, statement, values, 1, "pads") or []
    axes = integers(low, statement, values, 3, "axes") or list(range(len(pads) // 2))
    before, after = [0] * len(x.shape), [0] * len(x.shape)
    for i, axis in enumerate(axes):
        place = axis_of(axis, len(x.shape))
        before[place], after[place] = pads[i], pads[i + len(axes)]
    for axis, (first, last) in enumerate(zip(before, after, strict=True)):
        if first < 0 or last < 0:  # cropped
            end = x.shape[axis] + min(0, last)
            x = low.sliced(f"{statement.name}.crop", x, axis, max(0, -first), end)
    before, after = ([max(0, n) for n in pads] for pads in (before, after))
    if not any(before + after):
        return [x]
    if x.batch is not None and before[x.batch] + after[x.batch]:
        low.program.refuse(statement, "it adds images")
    value = number(low, statement, values, 2, "value") or 0.0
    value = float(np.clip(value, np.finfo(np.float32).min, np.finfo(np.float32).max))
    shape = [e + b + a for e, b, a in zip(x.shape, before, after, strict=True)]
    fields: dict[str, Any] = {"before": before, "after": after, "value": value}
    return [low.writer.add(statement.name, "Pad", [x], shape, batch=x.batch, **fields)]


def _depth_to_space(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    (n, c, h, w), size = x.shape, int(statement.attributes["blocksize"])
    crd = statement.attributes.get("mode", "DCR") in ("CRD", b"CRD")
    split = (n, c // size**2, size, size, h, w) if crd else (n, size, size, c // size**2, h, w)
    perm = (0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)
    y = low.transposed(
        f"{statement.name}.order", low.reshaped(f"{statement.name}.split", x, split), perm
    )
    return [low.reshaped(statement.name, y, (n, c // size**2, h * size, w * size))]


def _space_to_depth(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    x = low.tensor(values[0], statement.name)
    (n, c, h, w), size = x.shape, int(statement.attributes["blocksize"])
    y = low.reshaped(f"{statement.name}.split", x, (n, c, h // size, size, w // size, size))
    y = low.transposed(f"{statement.name}.order", y, (0, 3, 5, 1, 2, 4))
    return [low.reshaped(statement.name, y, (n, c * size**2, h // size, w // size))]


SHAPES = {
    "Cast": _cast,
    "CastLike": _cast_like,
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Dropout": _dropout,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Identity": _identity,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Size": _size,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}

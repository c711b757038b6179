"""PyTorch's functions that move elements without changing them."""

from __future__ import annotations

import numpy as np

from mobileone.checkpoint.graphs.calls import Call, Operator, numbers

__all__ = ["SHAPES"]

_FAR = (1 << 63) - 1


def _reshape(call: Call) -> None:
    call.add("Reshape", call["self"], call.integers(call.shape))


def _permute(call: Call) -> None:
    call.add("Transpose", call["self"], perm=numbers(call["dims"]))


def _transpose(call: Call) -> None:
    order = list(range(len(call.shape)))
    first, second = call.get("dim0", 0), call.get("dim1", 1)
    order[first], order[second] = order[second], order[first]
    call.add("Transpose", call["self"], perm=order)


def _turn(call: Call) -> None:
    call.add("Transpose", call["self"], perm=list(reversed(range(len(call.shape)))))


def _squeeze(call: Call) -> None:
    shape = call.shape_of("self")
    dims = call.get("dim")
    dims = list(range(len(shape))) if dims is None else numbers(dims)
    axes = [axis % len(shape) for axis in dims if shape[axis] == 1]
    call.add("Squeeze", call["self"], call.integers(axes)) if axes else call.alias(call["self"])


def _unsqueeze(call: Call) -> None:
    call.add("Unsqueeze", call["self"], call.integers([int(call["dim"])]))


def _cat(call: Call) -> None:
    call.add("Concat", *call["tensors"], axis=int(call["dim"]))


def _stack(call: Call) -> None:
    axis = call.integers([int(call["dim"])])
    parts = [call.inner("Unsqueeze", part, axis) for part in call["tensors"]]
    call.add("Concat", *parts, axis=int(call["dim"]))


def _parts(call: Call, sizes: list[int]) -> None:
    names = [f"{call.name}.{i}" for i in range(len(sizes))]
    inputs = [call["self"], call.integers(sizes)]
    call.alias(call.add_several("Split", inputs, names, {"axis": int(call["dim"])}))


def _of_size(extent: int, size: int) -> list[int]:
    """Parts of that size, of which the last may be smaller."""
    return [min(size, extent - first) for first in range(0, extent, size)]


def _split(call: Call) -> None:
    extent, sizes = call.shape_of("self")[int(call["dim"])], call.get("split_size")
    sizes = call.get("split_sizes") if sizes is None else sizes
    if isinstance(sizes, int):
        sizes = _of_size(extent, sizes)
    _parts(call, numbers(sizes))


def _chunk(call: Call) -> None:
    extent, count = call.shape_of("self")[int(call["dim"])], int(call["chunks"])
    _parts(call, _of_size(extent, -(-extent // count)))


def _unbind(call: Call) -> None:
    axis = int(call["dim"])
    names = []
    for index in range(call.results):
        place = call.constant(np.int64(index))
        names.append(call.inner("Gather", call["self"], place, axis=axis))
    call.alias(names)


def _slice(call: Call) -> None:
    start = 0 if call["start"] is None else int(call["start"])
    end = _FAR if call["end"] is None else int(call["end"])
    bounds = [[start], [end], [int(call["dim"])], [int(call["step"])]]
    call.add("Slice", call["self"], *(call.integers(bound) for bound in bounds))


def _select(call: Call) -> None:
    place = call.constant(np.int64(call["index"]))
    call.add("Gather", call["self"], place, axis=int(call["dim"]))


def _narrow(call: Call) -> None:
    start = int(call["start"])
    bounds = [[start], [start + int(call["length"])], [int(call["dim"])]]
    call.add("Slice", call["self"], *(call.integers(bound) for bound in bounds))


def _index_select(call: Call) -> None:
    call.add("Gather", call["self"], call["index"], axis=int(call["dim"]))


def _index(call: Call) -> None:
    picked = [(axis, given) for axis, given in enumerate(call["indices"]) if given is not None]
    if len(picked) != 1:
        call.refuse("it has several indices")
    call.add("Gather", call["self"], picked[0][1], axis=picked[0][0])


def _roll(call: Call) -> None:
    shape, x = call.shape_of("self"), call["self"]
    moves = list(zip(numbers(call["shifts"]), numbers(call["dims"]), strict=True))
    for shift, axis in moves:
        extent = shape[axis]
        cut = (extent - shift) % extent
        if cut == 0:
            continue
        bounds = ([[cut], [extent]], [[0], [cut]])
        parts = [
            call.inner("Slice", x, *(call.integers(n) for n in (*ends, [axis]))) for ends in bounds
        ]
        x = call.inner("Concat", *parts, axis=axis)
    call.add("Identity", x)


def _pad(call: Call) -> None:
    if call.get("mode", "constant") != "constant":
        call.refuse(f"its mode is {call['mode']!r}; expected 'constant'")
    pads, rank = numbers(call["pad"]), len(call.shape)
    before, after = [0] * rank, [0] * rank
    for i in range(len(pads) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    call.add("Pad", call["self"], call.integers(before + after), call["value"] or 0.0)


def _dropout(call: Call) -> None:
    if call.get("train"):
        call.refuse("it is in training mode; export the network in eval mode")
    call.alias(call.get("input", call.get("self")))


def _same(call: Call) -> None:
    call.alias(call["self"])


def _expand(call: Call) -> None:
    call.add("Expand", call["self"], call.integers(call.shape))


_NO_CHANGE = (
    "alias",
    "clone",
    "contiguous",
    "detach",
    "lift_fresh_copy",
    "to",
    "_to_copy",
    "float",
    "type_as",
)
_RESHAPES = ("flatten", "reshape", "unflatten", "view", "_unsafe_view", "view_as", "reshape_as")

SHAPES: dict[str, Operator] = {
    **dict.fromkeys(_NO_CHANGE, _same),
    **dict.fromkeys(_RESHAPES, _reshape),
    **dict.fromkeys(("cat", "concat"), _cat),
    **dict.fromkeys(("dropout", "feature_dropout"), _dropout),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "chunk": _chunk,
    "index": _index,
    "index_select": _index_select,
    "narrow": _narrow,
    "permute": _permute,
    "roll": _roll,
    "select": _select,
    "slice": _slice,
    "squeeze": _squeeze,
    "stack": _stack,
    "t": _turn,
    "transpose": _transpose,
    "unbind": _unbind,
    "unsqueeze": _unsqueeze,
}

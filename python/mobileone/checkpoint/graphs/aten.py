"""PyTorch's operators as ONNX's: what an exported program calls, by name without its overload."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mobileone.checkpoint.graphs.calls import Call

__all__ = ["ATEN"]

_FAR = (1 << 63) - 1


def _list(value: Any) -> list[int]:
    return [int(n) for n in (value if isinstance(value, list | tuple) else [value])]


def _per_axis(value: Any, rank: int = 2) -> list[int]:
    """One number for each axis of a window, of one for all or of as many."""
    values = _list(value)
    return values * rank if len(values) == 1 else values


def _ints(call: Call, values: Any) -> str:
    return call.constant(np.array(values, np.int64))


def _unary(kind: str, **attributes: Any) -> Callable[[Call], Any]:
    return lambda call: call.add(kind, call["self"], **attributes)


def _binary(kind: str) -> Callable[[Call], Any]:
    def convert(call: Call) -> None:
        other, alpha = call["other"], call.get("alpha", 1)
        if call.get("rounding_mode") is not None:
            call.refuse("it rounds")
        if alpha not in (None, 1):
            other = call.inner("Mul", other, alpha)
        call.add(kind, call["self"], other)

    return convert


def _conv(call: Call) -> None:
    rank = len(call.shape_of("weight")) - 2
    padding = call["padding"]
    attributes: dict[str, Any] = {}
    if isinstance(padding, str):
        attributes["auto_pad"] = "SAME_UPPER" if padding == "same" else "VALID"
    else:
        attributes["pads"] = _per_axis(padding, rank) * 2
    if call.get("transposed"):
        call.refuse("it is transposed")
    attributes["strides"] = _per_axis(call["stride"], rank)
    attributes["dilations"] = _per_axis(call["dilation"], rank)
    attributes["group"] = int(call["groups"])
    call.add("Conv", call["input"], call["weight"], call["bias"], **attributes)


def _scale_and_shift(call: Call) -> tuple[str, str]:
    """Of a norm per channel; where it has none, such as change nothing."""
    channels = call.shape_of("input")[1]
    weight = call["weight"] or call.constant(np.ones(channels, np.float32))
    bias = call["bias"] or call.constant(np.zeros(channels, np.float32))
    return weight, bias


def _batch_norm(call: Call) -> None:
    parts = call["input"], *_scale_and_shift(call)
    statistics = call["running_mean"], call["running_var"]
    training = bool(call.get("training", False)) or None in statistics
    options: dict[str, Any] = {"epsilon": float(call["eps"]), "training_mode": int(training)}
    call.add_first("BatchNormalization", *parts, *statistics, **options)


def _layer_norm(call: Call) -> None:
    axis = -len(_list(call["normalized_shape"]))
    parts = call["input"], call["weight"], call["bias"]
    call.add_first("LayerNormalization", *parts, axis=axis, epsilon=float(call["eps"]))


def _group_norm(call: Call) -> None:
    options: dict[str, Any] = {
        "num_groups": int(call["num_groups"]),
        "epsilon": float(call["eps"]),
    }
    call.add("GroupNormalization", call["input"], *_scale_and_shift(call), **options)


def _linear(call: Call) -> None:
    turned = call.constant(call.array("weight").T)
    if call["bias"] is None:
        call.add("MatMul", call["input"], turned)
    else:
        call.add("Add", call.inner("MatMul", call["input"], turned), call["bias"])


def _addmm(call: Call) -> None:
    call.add("Add", call.inner("MatMul", call["mat1"], call["mat2"]), call["self"])


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


def _reduce(kind: str) -> Callable[[Call], Any]:
    def convert(call: Call) -> None:
        dims = call.get("dim")
        inputs = [call["self"], *([] if dims in (None, []) else [_ints(call, _list(dims))])]
        call.add(kind, *inputs, keepdims=int(bool(call.get("keepdim"))))

    return convert


def _vector_norm(call: Call) -> None:
    if call.get("ord", call.get("p")) not in (2, None):
        call.refuse(f"of order {call.get('ord', call.get('p'))}; expected 2")
    _reduce("ReduceL2")(call)


def _window(call: Call) -> dict[str, Any]:
    """What the attributes of all pooling are."""
    kernel = _per_axis(call["kernel_size"])
    return {
        "kernel_shape": kernel,
        "strides": _per_axis(call["stride"] or kernel),
        "pads": _per_axis(call["padding"]) * 2,
        "ceil_mode": int(call["ceil_mode"]),
    }


def _max_pool(call: Call) -> None:
    dilations = _per_axis(call["dilation"])
    call.add_first("MaxPool", call["self"], **_window(call), dilations=dilations)


def _avg_pool(call: Call) -> None:
    if call["divisor_override"] is not None:
        call.refuse("it has a divisor of its own")
    counted = int(call["count_include_pad"])
    call.add("AveragePool", call["self"], **_window(call), count_include_pad=counted)


def _adaptive_pool(call: Call) -> None:
    size, wanted = call.shape_of("self")[2:], _per_axis(call["output_size"])
    if wanted == [1, 1]:
        call.add("GlobalAveragePool", call["self"])
        return
    if any(extent % n for extent, n in zip(size, wanted, strict=True)):
        call.refuse(f"it makes {wanted} of {size}")
    kernel = [extent // n for extent, n in zip(size, wanted, strict=True)]
    call.add("AveragePool", call["self"], kernel_shape=kernel, strides=kernel)


def _reshape(call: Call) -> None:
    call.add("Reshape", call["self"], _ints(call, call.shape))


def _permute(call: Call) -> None:
    call.add("Transpose", call["self"], perm=_list(call["dims"]))


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
    dims = list(range(len(shape))) if dims is None else _list(dims)
    axes = [axis % len(shape) for axis in dims if shape[axis] == 1]
    call.add("Squeeze", call["self"], _ints(call, axes)) if axes else call.alias(call["self"])


def _unsqueeze(call: Call) -> None:
    call.add("Unsqueeze", call["self"], _ints(call, [int(call["dim"])]))


def _cat(call: Call) -> None:
    call.add("Concat", *call["tensors"], axis=int(call["dim"]))


def _stack(call: Call) -> None:
    axis = _ints(call, [int(call["dim"])])
    parts = [call.inner("Unsqueeze", part, axis) for part in call["tensors"]]
    call.add("Concat", *parts, axis=int(call["dim"]))


def _parts(call: Call, sizes: list[int]) -> None:
    names = [f"{call.name}.{i}" for i in range(len(sizes))]
    inputs = [call["self"], _ints(call, sizes)]
    call.alias(call.add_several("Split", inputs, names, {"axis": int(call["dim"])}))


def _of_size(extent: int, size: int) -> list[int]:
    """Parts of that size, of which the last may be smaller."""
    return [min(size, extent - first) for first in range(0, extent, size)]


def _split(call: Call) -> None:
    extent, sizes = call.shape_of("self")[int(call["dim"])], call.get("split_size")
    sizes = call.get("split_sizes") if sizes is None else sizes
    if isinstance(sizes, int):
        sizes = _of_size(extent, sizes)
    _parts(call, _list(sizes))


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
    call.add("Slice", call["self"], *(_ints(call, bound) for bound in bounds))


def _select(call: Call) -> None:
    place = call.constant(np.int64(call["index"]))
    call.add("Gather", call["self"], place, axis=int(call["dim"]))


def _narrow(call: Call) -> None:
    start = int(call["start"])
    bounds = [[start], [start + int(call["length"])], [int(call["dim"])]]
    call.add("Slice", call["self"], *(_ints(call, bound) for bound in bounds))


def _index_select(call: Call) -> None:
    call.add("Gather", call["self"], call["index"], axis=int(call["dim"]))


def _index(call: Call) -> None:
    picked = [(axis, given) for axis, given in enumerate(call["indices"]) if given is not None]
    if len(picked) != 1:
        call.refuse("it has several indices")
    call.add("Gather", call["self"], picked[0][1], axis=picked[0][0])


def _roll(call: Call) -> None:
    shape, x = call.shape_of("self"), call["self"]
    moves = list(zip(_list(call["shifts"]), _list(call["dims"]), strict=True))
    for shift, axis in moves:
        extent = shape[axis]
        cut = (extent - shift) % extent
        if cut == 0:
            continue
        bounds = ([[cut], [extent]], [[0], [cut]])
        parts = [
            call.inner("Slice", x, *(_ints(call, n) for n in (*ends, [axis]))) for ends in bounds
        ]
        x = call.inner("Concat", *parts, axis=axis)
    call.add("Identity", x)


def _softmax(call: Call) -> None:
    call.add("Softmax", call["self"], axis=int(call["dim"]))


def _attention(call: Call) -> None:
    if call["is_causal"] or call["dropout_p"]:
        call.refuse("it is causal, or drops weights")
    parts = call["query"], call["key"], call["value"], call["attn_mask"]
    call.add("ScaledDotProductAttention", *parts, scale=call["scale"])


def _pad(call: Call) -> None:
    if call.get("mode", "constant") != "constant":
        call.refuse(f"its mode is {call['mode']!r}; expected 'constant'")
    pads, rank = _list(call["pad"]), len(call.shape)
    before, after = [0] * rank, [0] * rank
    for i in range(len(pads) // 2):
        before[rank - 1 - i], after[rank - 1 - i] = pads[2 * i], pads[2 * i + 1]
    call.add("Pad", call["self"], _ints(call, before + after), call["value"] or 0.0)


def _upsample(mode: str) -> Callable[[Call], Any]:
    def convert(call: Call) -> None:
        if call.get("align_corners"):
            call.refuse("its corners are aligned")
        image = call.get("self", call.get("input"))
        centres = "half_pixel" if mode == "linear" else "asymmetric"
        call.add(
            "Resize", image, None, None, _ints(call, call.shape),
            mode=mode, coordinate_transformation_mode=centres,
        )  # fmt: skip

    return convert


def _pixel_shuffle(call: Call) -> None:
    call.add("DepthToSpace", call["self"], blocksize=int(call["upscale_factor"]), mode="CRD")


def _channel_shuffle(call: Call) -> None:
    n, c, h, w = call.shape
    groups = int(call["groups"])
    split = call.inner("Reshape", call["self"], _ints(call, [n, groups, c // groups, h, w]))
    turned = call.inner("Transpose", split, perm=[0, 2, 1, 3, 4])
    call.add("Reshape", turned, _ints(call, [n, c, h, w]))


def _dropout(call: Call) -> None:
    if call.get("train"):
        call.refuse("it is in training mode; export the network in eval mode")
    call.alias(call.get("input", call.get("self")))


def _same(call: Call) -> None:
    call.alias(call["self"])


def _expand(call: Call) -> None:
    call.add("Expand", call["self"], _ints(call, call.shape))


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

ATEN: dict[str, Callable[[Any], Any]] = {
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
    **dict.fromkeys(_NO_CHANGE, _same),
    **dict.fromkeys(_RESHAPES, _reshape),
    "_adaptive_avg_pool2d": _adaptive_pool,
    "_softmax": _softmax,
    "adaptive_avg_pool2d": _adaptive_pool,
    "addcmul": _addcmul,
    "addmm": _addmm,
    "avg_pool2d": _avg_pool,
    "batch_norm": _batch_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "bmm": lambda call: call.add("MatMul", call["self"], call["mat2"]),
    "cat": _cat,
    "channel_shuffle": _channel_shuffle,
    "chunk": _chunk,
    "clamp": _clamp,
    "clamp_max": _clamp,
    "clamp_min": _clamp,
    "concat": _cat,
    "constant_pad_nd": _pad,
    "conv1d": _conv,
    "conv2d": _conv,
    "convolution": _conv,
    "dropout": _dropout,
    "expand": _expand,
    "expand_as": _expand,
    "feature_dropout": _dropout,
    "gelu": _gelu,
    "group_norm": _group_norm,
    "hardsigmoid": _unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hardtanh": _hardtanh,
    "index": _index,
    "index_select": _index_select,
    "layer_norm": _layer_norm,
    "leaky_relu": _leaky_relu,
    "linalg_vector_norm": _vector_norm,
    "linear": _linear,
    "matmul": lambda call: call.add("MatMul", call["self"], call["other"]),
    "max_pool2d": _max_pool,
    "max_pool2d_with_indices": _max_pool,
    "mean": _reduce("ReduceMean"),
    "mm": lambda call: call.add("MatMul", call["self"], call["mat2"]),
    "narrow": _narrow,
    "native_layer_norm": _layer_norm,
    "norm": _vector_norm,
    "pad": _pad,
    "permute": _permute,
    "pixel_shuffle": _pixel_shuffle,
    "pow": _pow,
    "prelu": _prelu,
    "relu6": _unary("Clip", min=0.0, max=6.0),
    "roll": _roll,
    "rsqrt": _rsqrt,
    "rsub": _rsub,
    "scaled_dot_product_attention": _attention,
    "select": _select,
    "slice": _slice,
    "softmax": _softmax,
    "softplus": _softplus,
    "split": _split,
    "split_with_sizes": _split,
    "squeeze": _squeeze,
    "stack": _stack,
    "sum": _reduce("ReduceSum"),
    "t": _turn,
    "transpose": _transpose,
    "unbind": _unbind,
    "unsqueeze": _unsqueeze,
    "upsample_bilinear2d": _upsample("linear"),
    "upsample_nearest2d": _upsample("nearest"),
}  # fmt: skip

"""PyTorch's functions as expressions: those that networks of our families consist of."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from mobileone.checkpoint.modules.expressions import Pair
from mobileone.checkpoint.modules.values import Value, Values

__all__ = ["COMPUTED", "DROPOUTS", "MOVES", "SAME"]

# Of a function's result and its arguments: the number of the expression that it is; None where it
# is none of ours.
Reading = Callable[..., int | None]


def _pair(value: Any) -> Pair:
    if isinstance(value, int):
        return value, value
    first, *rest = value
    return int(first), int(rest[0] if rest else first)


def _convolution(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> int | None:
    name, bias_name = values.name(weight), values.name(bias)
    if name is None or (bias is not None and bias_name is None):
        return None
    kernel, dilation = _pair(weight.shape[2:]), _pair(dilation)
    if padding == "valid":
        padding = 0
    elif padding == "same":
        spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        if any(span % 2 for span in spans):
            return None
        padding = [span // 2 for span in spans]
    return values.table.conv(
        values.number(input),
        name,
        bias_name,
        kernel=kernel,
        stride=_pair(stride),
        padding=_pair(padding),
        dilation=dilation,
        groups=groups,
    )


def _norm_of(values: Values, **parts: torch.Tensor | None) -> str | None:
    """The norm whose weights these are; None where they are not one norm's."""
    names = {part: values.name(tensor) for part, tensor in parts.items()}
    own = next((name.rpartition(".")[0] for name in names.values() if name), "")
    return own if all(name == f"{own}.{part}" for part, name in names.items()) else None


def _batch_norm(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> int | None:
    parts = {"running_mean": running_mean, "running_var": running_var}
    owner = _norm_of(values, weight=weight, bias=bias, **parts)
    if owner is None or training:
        return None
    return values.table.make("batch_norm", values.number(input), of=owner, eps=eps)


def _layer_norm(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    normalized_shape: Any,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> int | None:
    owner = _norm_of(values, weight=weight, bias=bias)
    if owner is None or len(tuple(normalized_shape)) != 1:
        return None
    return values.table.make("layer_norm", values.number(input), of=owner, eps=eps)


def _activation(function: str) -> Reading:
    def read(values: Values, out: torch.Tensor, input: torch.Tensor, *_: Any, **__: Any) -> int:
        return values.table.make("activation", values.number(input), function=function)

    return read


def _gelu(
    values: Values, out: torch.Tensor, input: torch.Tensor, approximate: str = "none"
) -> int | None:
    return _activation("gelu")(values, out, input) if approximate == "none" else None


def _leaky_relu(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    negative_slope: float = 0.01,
    inplace: bool = False,
) -> int | None:
    return _activation("leaky_relu")(values, out, input) if negative_slope == 0.01 else None


def _clamp(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    min: Any = None,
    max: Any = None,
    *_: Any,
) -> int | None:
    known = {(0, None): "relu", (0, 6): "relu6"}
    function = None if isinstance(max, torch.Tensor) else known.get((min, max))
    return None if function is None else _activation(function)(values, out, input)


def _hardtanh(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    min_val: float = -1.0,
    max_val: float = 1.0,
    inplace: bool = False,
) -> int | None:
    return _clamp(values, out, input, min_val, max_val)


def _add(
    values: Values, out: torch.Tensor, a: Any, b: Any, *, alpha: float = 1, **_: Any
) -> int | None:
    tensors = [x for x in (a, b) if isinstance(x, torch.Tensor)]
    if alpha != 1 or any(x != 0 for x in (a, b) if not isinstance(x, torch.Tensor)):
        return None
    if any(x.shape != out.shape for x in tensors):
        return None
    return values.table.add(*map(values.number, tensors))


def _multiply(values: Values, out: torch.Tensor, a: Any, b: Any, **_: Any) -> int | None:
    if not isinstance(a, torch.Tensor):
        a, b = b, a
    if isinstance(b, torch.Tensor):
        return values.table.multiply(values.number(a), values.number(b))
    return values.table.scale(values.number(a), float(b))


def _divide(
    values: Values, out: torch.Tensor, a: Any, b: Any, *, rounding_mode: Any = None
) -> int | None:
    if not isinstance(a, torch.Tensor) or isinstance(b, torch.Tensor) or rounding_mode or b == 0:
        return None
    return values.table.scale(values.number(a), 1.0 / float(b))


def _pool(values: Values, out: torch.Tensor, input: torch.Tensor, output_size: Any) -> int | None:
    is_whole = _pair(output_size) == (1, 1) and input.ndim == 4
    return values.table.make("mean", values.number(input)) if is_whole else None


def _mean(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> int | None:
    """Over height and width, also of a map that was flattened."""
    if dim is None or dtype not in (None, input.dtype):
        return None
    axes = {d % input.ndim for d in ([dim] if isinstance(dim, int) else dim)}
    value = values.get(input)
    if input.ndim == 4 and axes == {2, 3}:
        return values.table.make("mean", values.number(input))
    flat = value.at is not None and tuple(input.shape) == (
        *value.shape[:2],
        math.prod(value.shape[2:]),
    )
    if flat and len(value.shape) == 4 and axes == {2}:
        in_order = torch.equal(value.places().ravel(), torch.arange(input.numel()))
        return values.table.make("mean", value.base) if in_order else None
    return None


def _linear(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None = None,
) -> int | Value | None:
    """Where a layout stores slices of one projection, this is that part of it."""
    name, bias_name = values.name(weight), values.name(bias)
    if name is None or (bias is not None and bias_name is None):
        return None
    whole, _, part = name.partition("[")
    number = values.table.make(
        "linear",
        values.number(input),
        weight=whole,
        bias=bias_name and bias_name.partition("[")[0],
    )
    if not part:
        return number
    if bias_name is not None and bias_name.partition("[")[2] != part:
        return None
    slices = sum(1 for other in values.names.values() if other.startswith(f"{whole}["))
    shape = (*out.shape[:-1], out.shape[-1] * slices)
    places = torch.arange(math.prod(shape)).reshape(shape)
    return Value(number, shape, places.chunk(slices, -1)[int(part.rstrip("]"))])


def _concatenate(
    values: Values, out: torch.Tensor, tensors: Any, dim: int = 0, **_: Any
) -> int | None:
    return values.table.make("concat", *map(values.number, tensors), dim=dim % out.ndim)


def _resize(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: Any = None,
    antialias: bool = False,
) -> int | None:
    if out.shape == input.shape and size is not None and mode == "bilinear" and not antialias:
        return values.number(input)
    if size is None or mode != "bilinear" or align_corners or antialias:
        return None
    return values.table.make("resize", values.number(input), size=tuple(out.shape[2:]))


def _softmax(
    values: Values, out: torch.Tensor, input: torch.Tensor, dim: Any = None, *_: Any, **__: Any
) -> int | None:
    if dim is None or dim % input.ndim != input.ndim - 1 or out.dtype != input.dtype:
        return None
    return values.table.make("softmax", values.number(input))


def _matmul(values: Values, out: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> int:
    return values.table.matmul(values.number(a), values.number(b))


def _attention(
    values: Values,
    out: torch.Tensor,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> int | None:
    if attn_mask is not None or dropout_p or is_causal:
        return None
    keys = values.get(key)
    transposed = keys.places().transpose(-2, -1)
    across = values.table.moved(keys.base, keys.shape, transposed.numpy())
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    return values.table.attention(values.number(query), across, values.number(value), factor)


def _pad(
    values: Values,
    out: torch.Tensor,
    input: torch.Tensor,
    pad: Any,
    mode: str = "constant",
    value: float | None = None,
) -> int | None:
    """Zeros on both sides, which a convolution can have as its own padding."""
    left, right, top, bottom = pad if len(pad) == 4 else (0, -1, 0, 0)
    if mode != "constant" or value or left != right or top != bottom or min(left, top) < 0:
        return None
    return values.table.make("zero_pad", values.number(input), padding=(top, left))


COMPUTED: dict[str, Reading] = {
    "conv2d": _convolution,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "linear": _linear,  # type: ignore[dict-item]  # a part of a projection is a value
    **{name: _activation(name) for name in ("relu", "relu6", "silu", "sigmoid")},
    "hardswish": _activation("hard_swish"),
    "hardsigmoid": _activation("hard_sigmoid"),
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "clamp": _clamp,
    "hardtanh": _hardtanh,
    **dict.fromkeys(("add", "iadd", "radd"), _add),
    **dict.fromkeys(("mul", "imul", "rmul", "multiply"), _multiply),
    **dict.fromkeys(("div", "truediv", "itruediv", "divide", "true_divide"), _divide),
    "adaptive_avg_pool2d": _pool,
    "mean": _mean,
    **dict.fromkeys(("cat", "concat", "concatenate"), _concatenate),
    "interpolate": _resize,
    "softmax": _softmax,
    **dict.fromkeys(("matmul", "bmm"), _matmul),
    "scaled_dot_product_attention": _attention,
    "pad": _pad,
}
# Functions that only move elements: done to the elements' places, they say where each came from.
_MOVES = (
    "reshape view flatten unflatten view_as reshape_as squeeze unsqueeze t T mT transpose permute "
    "swapaxes swapdims movedim chunk split unbind narrow select tensor_split unsafe_chunk "
    "unsafe_split getitem flip roll rot90 expand expand_as repeat tile pixel_shuffle "
    "pixel_unshuffle channel_shuffle"
)
MOVES = frozenset(_MOVES.split())
# Functions whose result has the values of their first argument, unless its type changes; dropout is
# among them where it drops nothing.
_SAME = (
    "contiguous clone detach to cpu cuda float half double bfloat16 type type_as requires_grad_ "
    "data alias positive pos dropout dropout1d dropout2d dropout3d feature_dropout alpha_dropout "
    "feature_alpha_dropout"
)
SAME = frozenset(_SAME.split())
DROPOUTS = frozenset(name for name in SAME if "dropout" in name)

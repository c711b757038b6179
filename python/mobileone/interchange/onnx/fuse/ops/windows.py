"""Operators that move a window: convolution, average pooling, padding."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from mobileone.interchange.onnx.fuse.geometry import Axis, Geometry, Reason
from mobileone.interchange.onnx.fuse.kernel import Kernel
from mobileone.interchange.onnx.fuse.ops.node import Context, Linear, Node, Recognised

__all__ = ["MOST", "average_pool", "convolution", "pad", "window_axes"]


# Of any number of a window: beyond it, no border could be tried.
MOST = 4096


class _Window(NamedTuple):
    """Along one axis."""

    size: int
    stride: int
    dilation: int
    before: int
    after: int


def window_axes(
    node: Node, kernel: tuple[int, ...], extents: tuple[int | None, ...]
) -> tuple[Axis, ...] | Reason:
    """The axes of a window of this size.

    Args:
        extents: of the value, as far as they are known; some automatic paddings depend on them.
    """
    rank, attributes = len(kernel), node.attributes
    if tuple(attributes.get("kernel_shape", kernel)) != kernel:
        return f"kernel_shape {attributes['kernel_shape']} of a kernel {list(kernel)}"
    strides = _per_axis(attributes, "strides", rank)
    dilations = _per_axis(attributes, "dilations", rank)
    pads = list(attributes.get("pads", [0] * (2 * rank)))
    if len(pads) != 2 * rank or min(pads, default=0) < 0:
        return f"pads are {pads}; expected {2 * rank} that are not negative"
    if strides is None or dilations is None or min((*kernel, *strides, *dilations)) < 1:
        return "kernel, strides and dilations are not positive, one per axis"
    windows = [
        _Window(*values)
        for values in zip(kernel, strides, dilations, pads[:rank], pads[rank:], strict=True)
    ]
    automatic = attributes.get("auto_pad", b"NOTSET")
    if automatic not in (b"NOTSET", b""):
        padded = [_automatic(w, automatic, n) for w, n in zip(windows, extents, strict=True)]
        if any(window is None for window in padded):
            return f"auto_pad {automatic!r} depends on a size that is not known"
        windows = [window for window in padded if window is not None]
    if any(max(w) > MOST or w.dilation * w.size > MOST for w in windows):
        return f"a window of more than {MOST} elements"
    return tuple(
        Axis(-w.before, w.dilation if w.size > 1 else 1, w.size, w.stride, slack)
        for w in windows
        for slack in [w.before + w.after - w.dilation * (w.size - 1) - 1]
    )


def _per_axis(attributes: Mapping[str, Any], name: str, rank: int) -> list[int] | None:
    values = list(attributes.get(name, [1] * rank))
    return values if len(values) == rank else None


def _automatic(window: _Window, kind: bytes, extent: int | None) -> _Window | None:
    """With the padding that auto_pad stands for; None if that depends on what is not known."""
    reach = window.dilation * (window.size - 1) + 1
    if kind == b"VALID":
        return window._replace(before=0, after=0)
    if kind not in (b"SAME_UPPER", b"SAME_LOWER"):
        return None
    if window.stride == 1:
        total = reach - 1
    elif extent:
        total = max((math.ceil(extent / window.stride) - 1) * window.stride + reach - extent, 0)
    else:
        return None
    less, more = total // 2, total - total // 2
    before, after = (less, more) if kind == b"SAME_UPPER" else (more, less)
    return window._replace(before=before, after=after)


def _extents(context: Context, name: str, rank: int) -> tuple[int | None, ...]:
    shape = context.values.shape(name)
    return shape[2:] if shape is not None and len(shape) == rank + 2 else (None,) * rank


def convolution(node: Node, context: Context) -> Recognised:
    """Conv with constant weights."""
    weight = context.constant(node.input(1))
    bias = context.constant(node.input(2))
    if weight is None or (node.input(2) and bias is None):
        return "its weights are not constant"
    groups = node.attributes.get("group", 1)
    outputs = weight.shape[0] if weight.ndim else 0
    if weight.ndim < 3 or not weight.size or groups < 1 or outputs % groups:
        return f"a weight of shape {weight.shape} in {groups} groups"
    if bias is not None and bias.shape != (outputs,):
        return f"a bias of shape {bias.shape} for {outputs} channels"
    kernel = weight.shape[2:]
    axes = window_axes(node, kernel, _extents(context, node.input(0), len(kernel)))
    if isinstance(axes, str):
        return axes
    biased = bias is not None and bool(np.any(bias))
    geometry = Geometry(axes, weight.shape[1] * groups, outputs, groups, biased)

    def numbers() -> Kernel:
        offset = np.zeros(outputs) if bias is None else bias.astype(np.float64)
        return Kernel(geometry, weight.astype(np.float64), offset)

    return Linear(node.input(0), geometry, numbers, heavy=True)


def average_pool(node: Node, context: Context) -> Recognised:
    """AveragePool, where every window's sum has one divisor."""
    kernel = tuple(node.attributes.get("kernel_shape", ()))
    channels = context.channels(node.input(0))
    if not kernel or len(node.outputs) != 1:
        return "a pooling without kernel_shape"
    if not channels:
        return "a pooling of an unknown number of channels"
    axes = window_axes(node, kernel, _extents(context, node.input(0), len(kernel)))
    if isinstance(axes, str):
        return axes
    if node.attributes.get("ceil_mode", 0):
        return "ceil_mode: the last windows have divisors of their own"
    padded = any(max(axis.padding) > 0 for axis in axes)
    if padded and not node.attributes.get("count_include_pad", 0):
        return "count_include_pad = 0: windows at the border have divisors of their own"
    geometry = Geometry(axes, channels, channels, channels)
    shape = (channels, 1, *kernel)
    area = math.prod(kernel)
    return Linear(
        node.input(0),
        geometry,
        lambda: Kernel(geometry, np.full(shape, 1 / area), np.zeros(channels)),
        heavy=True,
        weighted=False,
    )


def pad(node: Node, context: Context) -> Recognised:
    """Pad with zeros, or crop, along the spatial axes."""
    if node.attributes.get("mode", b"constant") != b"constant":
        return f"padding of mode {node.attributes['mode']!r}"
    if context.opset < 11:
        pads, value = node.attributes.get("pads"), node.attributes.get("value", 0.0)
    else:
        pads, value = context.integers(node.input(1)), 0.0
        if node.input(2):
            given = context.constant(node.input(2))
            value = math.nan if given is None or given.size != 1 else float(given.reshape(()))
    if pads is None or value != 0:
        return "padding by other than a constant number of zeros"
    if node.input(3):
        pads = _on_axes(pads, context.integers(node.input(3)), context.values.rank(node.input(0)))
    channels = context.channels(node.input(0))
    rank = 0 if pads is None else len(pads) // 2
    if pads is None or len(pads) != 2 * rank or rank < 3 or not channels:
        return "padding of an unknown number of channels or axes"
    before, after = pads[:rank], pads[rank:]
    if any((*before[:2], *after[:2])):
        return "padding of images or channels"
    if max(map(abs, pads)) > MOST:
        return f"padding by more than {MOST} elements"
    axes = tuple(Axis(-b, slack=b + a - 1) for b, a in zip(before[2:], after[2:], strict=True))
    geometry = Geometry(axes, channels, channels, channels)
    weight = np.ones((channels, 1, *(1 for _ in axes)))
    bias = np.zeros(channels)
    return Linear(node.input(0), geometry, lambda: Kernel(geometry, weight, bias), weighted=False)


def _on_axes(pads: list[int], axes: list[int] | None, rank: int | None) -> list[int] | None:
    """The pads of every axis, given those of some; None if these are not known."""
    if axes is None or rank is None or len(pads) != 2 * len(axes):
        return None
    if any(not -rank <= axis < rank for axis in axes):
        return None
    result = [0] * (2 * rank)
    for index, axis in enumerate(axes):
        result[axis % rank] = pads[index]
        result[axis % rank + rank] = pads[index + len(axes)]
    return result

"""The numbers of a map, in float64: weights and bias, composed and added as `geometry` says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.geometry import UNIFORM, Axis, Geometry

__all__ = ["IDENTITY", "Float64", "Kernel", "add", "chain", "uniform"]

Float64 = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kernel:
    """y = W * x + b.

    Attributes:
        geometry: its shape.
        weight: [outputs, inputs / groups, *taps]; [] for a uniform map.
        bias: [outputs]; [] for a uniform map.
    """

    geometry: Geometry
    weight: Float64
    bias: Float64


def uniform(scale: float, shift: float = 0.0) -> Kernel:
    """y = scale * x + shift, for an x of any shape."""
    geometry = Geometry(None, biased=shift != 0.0)
    return Kernel(geometry, np.float64(scale)[...], np.float64(shift)[...])


IDENTITY = Kernel(UNIFORM, np.ones(()), np.zeros(()))


def chain(outer: Kernel, inner: Kernel, whole: Geometry) -> Kernel:
    """`inner`, then `outer`; `whole` is their `geometry.compose`."""
    if outer.geometry.axes is None:
        bias = outer.weight * inner.bias + outer.bias
        return Kernel(whole, outer.weight * inner.weight, bias)
    if inner.geometry.axes is None:
        taps = outer.weight.sum(axis=tuple(range(1, outer.weight.ndim)))
        return Kernel(whole, outer.weight * inner.weight, outer.bias + taps * inner.bias)
    return Kernel(whole, _chained_weight(outer, inner, whole), outer.bias + _carried(outer, inner))


def _carried(outer: Kernel, inner: Kernel) -> Float64:
    """What the inner bias adds to the outer result, which no border interrupts."""
    groups = outer.geometry.groups
    taps = outer.weight.sum(axis=tuple(range(2, outer.weight.ndim)))
    rows = taps.reshape(groups, -1, taps.shape[1])
    return np.asarray(rows @ inner.bias.reshape(groups, -1, 1)).reshape(-1)


def _chained_weight(outer: Kernel, inner: Kernel, whole: Geometry) -> Float64:
    geometry, axes = whole, whole.axes or ()
    groups = geometry.groups
    result = np.zeros((geometry.outputs, geometry.inputs // groups, *geometry.kernel))
    grouped = result.reshape(groups, geometry.outputs // groups, -1, *geometry.kernel)
    times = _product(outer, inner, groups)
    inner_axes, outer_axes = inner.geometry.axes or (), outer.geometry.axes or ()
    for tap in product(*(range(axis.count) for axis in outer_axes)):
        places = tuple(
            _places(i, axis, i.stride * (o.first + o.step * index))
            for axis, i, o, index in zip(axes, inner_axes, outer_axes, tap, strict=True)
        )
        grouped[_last(places)] += times(tap)
    return result


def _last(places: tuple[Any, ...]) -> Any:
    """An index of the last axes."""
    return (Ellipsis, *places)


def _places(part: Axis, whole: Axis, shift: int = 0) -> slice:
    """Where the taps of an axis, shifted, lie on a finer one."""
    start = (part.first + shift - whole.first) // whole.step
    step = part.step // whole.step if part.count > 1 else 1
    return slice(start, start + step * (part.count - 1) + 1, step)


class _product:  # noqa: N801 - a function with what it prepared
    """Of an outer tap and the inner kernel: [groups, outputs / groups, inputs / groups, *taps]."""

    def __init__(self, outer: Kernel, inner: Kernel, groups: int) -> None:
        one = (1,) * len(inner.geometry.axes or ())
        self.kind = "matrix"
        if _is_depthwise(inner.geometry):
            self.kind = "inner"
            self.outer = outer.weight.reshape(groups, -1, *outer.weight.shape[1:])
            self.inner = inner.weight.reshape(groups, 1, -1, *inner.weight.shape[2:])
        elif _is_depthwise(outer.geometry):
            self.kind = "outer"
            self.outer = outer.weight.reshape(groups, -1, *outer.weight.shape[1:])
            self.inner = inner.weight.reshape(groups, -1, *inner.weight.shape[1:])
        else:
            wide = _regrouped(outer.weight, outer.geometry.groups, groups)
            rows = _regrouped(inner.weight, inner.geometry.groups, groups)
            self.outer = wide.reshape(groups, -1, *wide.shape[1:])
            self.taps = rows.shape[2:]
            self.inner = rows.reshape(groups, outer.geometry.inputs // groups, -1)
        self.one = one

    def __call__(self, tap: tuple[int, ...]) -> Float64:
        columns = self.outer[_last(tap)]
        if self.kind == "matrix":
            rows = np.asarray(columns @ self.inner)
            return rows.reshape(*columns.shape[:2], -1, *self.taps)
        return np.asarray(columns.reshape(*columns.shape, *self.one) * self.inner)


def _is_depthwise(geometry: Geometry) -> bool:
    return geometry.groups == geometry.inputs == geometry.outputs


def _regrouped(weight: Float64, groups: int, fewer: int) -> Float64:
    """The same map written with fewer groups, of which `groups` is a multiple."""
    ratio = groups // fewer
    if ratio == 1:
        return weight
    per_group = weight.shape[1]
    result = np.zeros((fewer, ratio, weight.shape[0] // groups, ratio, *weight.shape[1:]))
    parts = weight.reshape(fewer, ratio, -1, *weight.shape[1:])
    for index in range(ratio):
        result[:, index, :, index] = parts[:, index]
    return result.reshape(weight.shape[0], ratio * per_group, *weight.shape[2:])


def add(parts: Sequence[Kernel], whole: Geometry) -> Kernel:
    """The sum of maps of one x; `whole` is their `geometry.join`."""
    if whole.axes is None:
        scale, shift = (np.sum([getattr(p, n) for p in parts]) for n in ("weight", "bias"))
        return Kernel(whole, np.float64(scale)[...], np.float64(shift)[...])
    weight = np.zeros((whole.outputs, whole.inputs // whole.groups, *whole.kernel))
    bias = np.zeros(whole.outputs)
    for part in parts:
        if part.geometry.axes is None:
            part = _spread(part, whole)
        places = tuple(
            _places(a, w) for a, w in zip(part.geometry.axes or (), whole.axes, strict=True)
        )
        weight[_last(places)] += _regrouped(part.weight, part.geometry.groups, whole.groups)
        bias += part.bias
    return Kernel(whole, weight, bias)


def _spread(part: Kernel, whole: Geometry) -> Kernel:
    """A uniform map as a depthwise one of the other's channels."""
    channels, axes = whole.inputs, (Axis(),) * len(whole.axes or ())
    weight = np.full((channels, 1, *(1 for _ in axes)), float(part.weight))
    geometry = Geometry(axes, channels, channels, channels, part.geometry.biased)
    return Kernel(geometry, weight, np.full(channels, float(part.bias)))

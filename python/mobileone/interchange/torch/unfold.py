"""Patches of a few images as a matrix, and the adjoint.

A strided convolution's input is first split into planes of every stride-th pixel, each of whose
taps are then slices with unit stride.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mobileone.interchange.torch.geometry import Geometry


def unfold(x: Tensor, shift: Tensor, geometry: Geometry, *, ones: bool) -> Tensor:
    """Patches of zero-padded x minus the channels' shift: (groups, taps (+ 1), images * pixels).

    Args:
        x: (images, channels, height, width) of any dtype; the result has that of ``shift``.
        ones: append a row of ones to every group.
    """
    images, channels = x.shape[:2]
    rows, columns = geometry.output_size(*x.shape[2:])
    groups, taps = geometry.groups, geometry.taps
    result = shift.new_empty(groups, taps + ones, images, rows, columns)
    if ones:
        result[:, taps] = 1
    at = shift.view(-1, 1, 1)
    # (images, groups, channels of a group, taps of a channel, rows, columns)
    target = _split(result[:, :taps], 1, (-1, geometry.area)).permute(3, 0, 1, 2, 4, 5)
    grouped = (images, groups, channels // groups)
    if geometry.is_pixelwise:
        pixels = _split(x, 1, grouped[1:])
        torch.sub(pixels, at.view(groups, -1, 1, 1), out=target[:, :, :, 0])
        return result.flatten(2)
    planes = _planes(x, at, geometry)
    for tap, plane, where in _slices(geometry, rows, columns):
        target[:, :, :, tap] = _split(planes[plane][where], 1, grouped[1:])
    return result.flatten(2)


def fold(patches: Tensor, geometry: Geometry, grad: Tensor | None, out: Tensor) -> None:
    """out = grad + patches (groups, taps, images * pixels), summed where they were taken."""
    images, channels, height, width = out.shape
    rows, columns = geometry.output_size(height, width)
    source = _split(_split(patches, 2, (images, rows, columns)), 1, (-1, geometry.area))
    source = source.flatten(0, 1).permute(2, 0, 1, 3, 4)  # images, channels, taps, rows, columns
    if geometry.is_pixelwise:
        total = source[:, :, 0]
    else:
        stride, padding = geometry.stride, geometry.padding
        high, wide = _plane_size(geometry, rows, columns)
        padded = patches.new_zeros(
            images,
            channels,
            max(high * stride[0], height + padding[0]),
            max(wide * stride[1], width + padding[1]),
        )
        planes = {}
        for tap, plane, where in _slices(geometry, rows, columns):
            if plane not in planes:
                planes[plane] = patches.new_zeros(images, channels, high, wide)
            planes[plane][where] += source[:, :, tap]
        for (i, j), values in planes.items():
            padded[:, :, i : high * stride[0] : stride[0], j : wide * stride[1] : stride[1]] = (
                values
            )
        total = padded[:, :, padding[0] : padding[0] + height, padding[1] : padding[1] + width]
    if grad is None:
        out.copy_(total)
    else:
        torch.add(total, grad, out=out) if total.dtype == out.dtype else out.copy_(total + grad)


Plane = tuple[int, int]


def _planes(x: Tensor, shift: Tensor, geometry: Geometry) -> dict[Plane, Tensor]:
    """Every stride-th pixel of padded x minus the shift, from each offset that a tap needs."""
    images, channels, height, width = x.shape
    (above, left), stride = geometry.padding, geometry.stride
    rows, columns = geometry.output_size(height, width)
    high, wide = _plane_size(geometry, rows, columns)
    padded = shift.new_empty(
        images,
        channels,
        max(high * stride[0], height + above),
        max(wide * stride[1], width + left),
    )
    padded.copy_((-shift).expand_as(padded))
    inner = padded[:, :, above : above + height, left : left + width]
    torch.sub(x, shift, out=inner) if x.dtype == shift.dtype else inner.copy_(x - shift)
    if stride == (1, 1):
        return {(0, 0): padded}
    needed = {plane for _, plane, _ in _slices(geometry, rows, columns)}
    return {
        (i, j): padded[
            :, :, i : high * stride[0] : stride[0], j : wide * stride[1] : stride[1]
        ].contiguous()
        for i, j in needed
    }


def _plane_size(geometry: Geometry, rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a plane: the outputs', and as many more as taps reach beyond them."""
    reach = [
        d * (k - 1) // s
        for k, d, s in zip(geometry.kernel, geometry.dilation, geometry.stride, strict=True)
    ]
    return rows + reach[0], columns + reach[1]


def _slices(
    geometry: Geometry, rows: int, columns: int
) -> Iterator[tuple[int, Plane, tuple[slice, ...]]]:
    """Every tap of a channel, its plane, and where the outputs' pixels are in it."""
    everything = slice(None)
    for i in range(geometry.kernel[0]):
        for j in range(geometry.kernel[1]):
            down, row = divmod(i * geometry.dilation[0], geometry.stride[0])
            right, column = divmod(j * geometry.dilation[1], geometry.stride[1])
            where = (
                everything,
                everything,
                slice(down, down + rows),
                slice(right, right + columns),
            )
            yield i * geometry.kernel[1] + j, (row, column), where


def _split(x: Tensor, dim: int, sizes: tuple[int, ...]) -> Tensor:
    return torch.unflatten(x, dim, sizes)

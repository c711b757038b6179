"""First two moments of a convolution's input patches, and their gradient, for any geometry.

Few images are unfolded at a time, so that patches stay in the cache and are never saved. Of a 1 × 1
convolution the input is the patches.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from mobileone.interchange.torch.geometry import Geometry

# Elements of patches at a time: what a core's second-level cache holds, and what fills a GPU.
_CPU_CHUNK, _GPU_CHUNK = 1 << 19, 1 << 26
# Columns that a matrix product needs to be efficient; below this, images are put side by side.
_COLUMNS = 128


def moments(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean (groups, taps) and covariance (groups, taps, taps) over images and output pixels.

    Sums are of differences from the channels' means, so that they do not cancel however large the
    mean is beside the standard deviation. Zero padding is part of the patches.
    """
    groups, taps = geometry.groups, geometry.taps
    shift = _per_tap(x.mean((0, 2, 3), dtype=dtype), geometry)
    total = shift.new_zeros(groups, taps, 1)
    gram = shift.new_zeros(groups, taps, taps)
    for _, part in _chunks(x, geometry):
        patches = _patches(part, geometry, dtype).sub_(shift)
        if not is_input(geometry):  # else the shift is the mean
            total += patches.sum(2, keepdim=True)
        _add_product(gram, patches)
    rows, columns = geometry.output_size(*x.shape[2:])
    count = len(x) * rows * columns
    gram.triu_().add_(gram.triu(1).mT) if _blocked(gram) else None
    offset = total / count
    covariance = (gram / count).baddbmm_(offset, offset.mT, alpha=-1)
    return (shift + offset).squeeze(2), covariance


def is_input(geometry: Geometry) -> bool:
    """Whether each input pixel is one patch."""
    return geometry.area == 1 and geometry.stride == (1, 1) and geometry.padding == (0, 0)


def gradient(
    x: Tensor, geometry: Geometry, mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    """``grad`` plus the sum, over the patches that x takes part in, of s (patch - mean) + constant.

    Args:
        grad: of x's shape, not changed; None for zeros.
        s: (groups, taps, taps); mean and constant: (groups, taps), all of the statistics' dtype.
    """
    result = torch.empty_like(x)
    affine = torch.cat((s, constant.unsqueeze(2)), 2)
    for where, part in _chunks(x, geometry):
        patches = _patches(part, geometry, s.dtype).sub_(mean.unsqueeze(2))
        ones = patches.new_ones(1, 1, 1).expand(len(patches), 1, patches.shape[2])
        term = _folded(torch.bmm(affine, torch.cat((patches, ones), 1)), part, geometry)
        torch.add(term, 0 if grad is None else grad[where], out=result[where])
    return result


def _chunks(x: Tensor, geometry: Geometry) -> Iterator[tuple[slice, Tensor]]:
    """Few images at a time, and which."""
    rows, columns = geometry.output_size(*x.shape[2:])
    per_image = geometry.groups * geometry.taps * rows * columns
    budget = _CPU_CHUNK if x.device.type == "cpu" else _GPU_CHUNK
    images = max(1, budget // max(1, per_image), -(-_COLUMNS // max(1, rows * columns)))
    for start in range(0, len(x), images):
        where = slice(start, start + images)
        yield where, x[where]


def _per_tap(values: Tensor, geometry: Geometry) -> Tensor:
    """One value per input channel for each of the channel's taps: (groups, taps, 1)."""
    return values.repeat_interleave(geometry.area).view(geometry.groups, geometry.taps, 1)


def _patches(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> Tensor:
    """A fresh (groups, taps, images * pixels)."""
    images = len(x)
    if geometry.area == 1 and geometry.padding == (0, 0):
        columns = x[:, :, :: geometry.stride[0], :: geometry.stride[1]].flatten(2)
    else:
        columns = F.unfold(
            x.to(dtype), geometry.kernel, geometry.dilation, geometry.padding, geometry.stride
        )
    grouped = columns.view(images, geometry.groups, geometry.taps, -1).permute(1, 2, 0, 3)
    fresh = torch.empty(grouped.shape, dtype=dtype, device=x.device)
    return fresh.copy_(grouped).flatten(2)


def _folded(patches: Tensor, x: Tensor, geometry: Geometry) -> Tensor:
    """The adjoint of `_patches`, of x's shape."""
    images, channels, height, width = x.shape
    columns = patches.unflatten(2, (images, -1)).permute(2, 0, 1, 3)
    if is_input(geometry):
        return columns.reshape(x.shape)
    return F.fold(
        columns.reshape(images, channels * geometry.area, -1),
        (height, width),
        geometry.kernel,
        geometry.dilation,
        geometry.padding,
        geometry.stride,
    )


# Blocks of rows of a symmetric product: of n blocks (n + 1) / 2n of the whole is computed.
_BLOCKS = 4


def _blocked(gram: Tensor) -> bool:
    return gram.shape[0] == 1 and gram.shape[1] >= 192


def _add_product(gram: Tensor, patches: Tensor) -> None:
    """gram += patches patchesᵀ; large ones in their upper triangle only."""
    if not _blocked(gram):
        gram.baddbmm_(patches, patches.mT)
        return
    size = -(-gram.shape[1] // _BLOCKS)
    for start in range(0, gram.shape[1], size):
        rows = patches[0, start : start + size]
        gram[0, start : start + size, start:].addmm_(rows, patches[0, start:].T)

"""First two moments of a convolution's input patches, and their gradient, for any geometry.

Few images are unfolded at a time, so that patches stay in the cache and are never saved. Of a 1 × 1
convolution of stride 1 the input is the patches.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from mobileone.interchange.torch.geometry import Geometry
from mobileone.interchange.torch.unfold import fold, unfold

# Elements of patches at a time: what a core's second-level cache holds, and what fills a GPU.
_CPU_CHUNK, _GPU_CHUNK = 1 << 19, 1 << 26
# Columns that a matrix product needs to be efficient; below this, images are put side by side.
_COLUMNS = 128
# Blocks of rows of a large symmetric product: of n, (n + 1) / 2n of the whole is computed.
_BLOCKS, _BLOCKED_TAPS = 4, 192


def moments(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean (groups, taps) and covariance (groups, taps, taps) over images and output pixels.

    Sums are of differences from the channels' means, so that they do not cancel however large the
    mean is beside the standard deviation. Zero padding is part of the patches.
    """
    groups, taps = geometry.groups, geometry.taps
    shift = x.mean((0, 2, 3), dtype=dtype)
    shifted_mean_is_zero = geometry.is_pixelwise
    rows = taps if shifted_mean_is_zero else taps + 1  # a row of ones sums the others
    gram = shift.new_zeros(groups, rows, rows)
    for _, part in _chunks(x, geometry):
        _add_product(gram, unfold(part, shift, geometry, ones=rows > taps))
    if _is_blocked(gram):
        gram = gram.triu() + gram.triu(1).mT

    count = _count(x, geometry)
    covariance = gram[:, :taps, :taps] / count
    mean = shift.repeat_interleave(geometry.area).view(groups, taps)
    if shifted_mean_is_zero:
        return mean, covariance
    offset = gram[:, :taps, taps:] / count
    return mean + offset.squeeze(2), covariance.baddbmm_(offset, offset.mT, alpha=-1)


def gradient(
    x: Tensor, geometry: Geometry, mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    """``grad`` plus the sum, over the patches that x takes part in, of s (patch - mean) + constant.

    Args:
        grad: of x's shape, not changed; None for zeros.
        s: (groups, taps, taps); mean and constant: (groups, taps), all of the statistics' dtype.
    """
    shift = mean.view(-1, geometry.area).mean(1)  # near the mean of every tap of a channel
    offset = shift.repeat_interleave(geometry.area).view_as(mean) - mean
    constant = torch.baddbmm(constant.unsqueeze(2), s, offset.unsqueeze(2))
    affine = torch.cat((s, constant), 2)
    result = torch.empty_like(x)
    in_place = (
        geometry.is_pixelwise
        and geometry.groups == 1
        and result.dtype == s.dtype
        and result.is_contiguous()
        and grad is not None
        and grad.is_contiguous()
    )
    for where, part in _chunks(x, geometry):
        patches = unfold(part, shift, geometry, ones=True)
        of_part = None if grad is None else grad[where]
        if in_place and of_part is not None and len(part) == 1:
            flat = result[where].view(geometry.taps, -1)
            torch.addmm(of_part.view_as(flat), affine[0], patches[0], out=flat)
            continue
        fold(torch.bmm(affine, patches), geometry, of_part, result[where])
    return result


def _count(x: Tensor, geometry: Geometry) -> int:
    rows, columns = geometry.output_size(*x.shape[2:])
    return len(x) * rows * columns


def _chunks(x: Tensor, geometry: Geometry) -> Iterator[tuple[slice, Tensor]]:
    """Few images at a time, and which."""
    pixels = _count(x[:1], geometry)
    budget = _CPU_CHUNK if x.device.type == "cpu" else _GPU_CHUNK
    per_image = max(1, geometry.groups * geometry.taps * pixels)
    images = max(
        1, budget // per_image if x.device.type != "cpu" else 1, _COLUMNS // max(1, pixels)
    )
    for start in range(0, len(x), images):
        where = slice(start, start + images)
        yield where, x[where]


def _is_blocked(gram: Tensor) -> bool:
    return gram.shape[0] == 1 and gram.shape[1] >= _BLOCKED_TAPS


def _add_product(gram: Tensor, patches: Tensor) -> None:
    """gram += patches patchesᵀ; large ones in their upper triangle only."""
    if not _is_blocked(gram):
        gram.baddbmm_(patches, patches.mT)
        return
    size = -(-gram.shape[1] // _BLOCKS)
    for start in range(0, gram.shape[1], size):
        rows = patches[0, start : start + size]
        gram[0, start : start + size, start:].addmm_(rows, patches[0, start:].T)

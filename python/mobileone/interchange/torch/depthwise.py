"""Moments of the patches of a depthwise 3 × 3 convolution of stride 1, without unfolding.

Up to the border, the covariance of taps t and t' depends on their offset t' - t only: 25 offsets,
13 up to sign, are the autocorrelation of each plane, which the weight gradient of a depthwise
convolution computes at memory speed. The border takes two corrections: outputs one pixel outside
the image, which the autocorrelation counts too, and the padding, which is zero and not the
mean that is subtracted. The gradient is the adjoint: a 5 × 5 convolution, corrected on the
outermost pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.nn.grad import conv2d_weight

from mobileone.interchange.torch.geometry import Geometry


def takes(geometry: Geometry) -> bool:
    """Whether this is such a convolution."""
    return geometry.is_depthwise and geometry.stride == (1, 1)


def moments(x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean (channels, 9) and covariance (channels, 9, 9) over images and output pixels."""
    images, _, height, width = x.shape
    count = images * height * width
    shift = x.mean((0, 2, 3), dtype=dtype)
    z = x.to(dtype) - shift.view(-1, 1, 1)
    gram = _gram_of_zero_padded(z)

    # Linear terms need the sum over images only: sums over the rows and columns at which both
    # tap t and tap t' are inside, for every pair of taps.
    both_rows, both_columns = _both_inside(height, z), _both_inside(width, z)
    inside = both_rows @ z.sum(0) @ both_columns.T  # (channels, row pairs, column pairs)
    sums = _by_tap_pairs(inside)
    counts = _by_tap_pairs((both_rows.sum(1, keepdim=True) * both_columns.sum(1)).unsqueeze(0))
    centre = 4
    total = sums[:, :, centre]  # the centre tap is inside everywhere
    outside = total.unsqueeze(2) - sums  # of tap t, where tap t' is padding
    in_either = counts[0].diagonal()
    both_padding = count / images - in_either.unsqueeze(1) - in_either + counts[0]

    # Padding is -shift after the shift.
    at = shift.view(-1, 1, 1)
    gram += (at.square() * (both_padding * images)).sub_(at * (outside + outside.mT))
    offset = total - shift.unsqueeze(1) * (count - in_either * images)
    offset = offset.div_(count).unsqueeze(2)
    covariance = gram.div_(count).baddbmm_(offset, offset.mT, alpha=-1)
    return shift.unsqueeze(1) + offset.squeeze(2), covariance


def gradient(x: Tensor, mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor) -> Tensor:
    """As `patches.gradient`."""
    channels = x.shape[1]
    constant = torch.baddbmm(constant.unsqueeze(2), s, mean.unsqueeze(2), alpha=-1)
    pairs = s.view(channels, 3, 3, 3, 3)  # tap row, tap column, other row, other column
    c = constant.view(channels, 3, 3)
    kernel = s.new_zeros(channels, 1, 5, 5)
    for row in range(3):
        for column in range(3):
            window = kernel[:, 0, 2 - row : 5 - row, 2 - column : 5 - column]
            window += pairs[:, row, column]
    y = x.to(s.dtype)
    result = F.conv2d(y, kernel, c.sum((1, 2)), padding=2, groups=channels)

    # Tap 2 of the first pixel and tap 0 of the last belong to outputs outside of the image.
    for edge, tap in ((0, 2), (-1, 0)):
        rows = _lags(pairs[:, tap, :, tap])
        result[:, :, edge] -= _along(y[:, :, edge], rows, c[:, tap].sum(1))
        columns = _lags(pairs[:, :, tap, :, tap])
        result[:, :, :, edge] -= _along(y[:, :, :, edge], columns, c[:, :, tap].sum(1))
        for other_edge, other in ((0, 2), (-1, 0)):
            corner = pairs[:, tap, other, tap, other] * y[:, :, edge, other_edge]
            result[:, :, edge, other_edge] += corner + c[:, tap, other]
    if grad is not None:
        result += grad
    return result.to(x.dtype)


def _gram_of_zero_padded(z: Tensor) -> Tensor:
    """Sums of products of the taps of zero-padded patches: (channels, 9, 9)."""
    images, channels, height, width = z.shape
    # In float32 each image's planes by themselves: one chain of additions over all rounds more.
    parts = images if z.dtype == torch.float32 else 1
    one = z.reshape(images // parts, parts * channels, height, width)
    # Offsets of rows 0..2 and columns 0..2, then -2..0.
    lags = z.new_zeros(channels, 3, 5)
    for left in (2, 0):
        beside = F.pad(one, (left, 2 - left, 0, 2))
        part: Tensor = conv2d_weight(beside, (one.shape[1], 1, 3, 3), one, groups=one.shape[1])  # type: ignore[no-untyped-call]
        lags[:, :, 2 - left : 5 - left] = part.view(parts, channels, 3, 3).sum(0)
    lags = torch.cat((lags[:, 1:].flip(1, 2), lags), 1)  # rows -2..2

    gram = torch.stack(
        [lags[:, 2 - r : 5 - r, 2 - c : 5 - c] for r in range(3) for c in range(3)], 1
    ).view(channels, 3, 3, 3, 3)
    for edge, tap in ((0, 2), (-1, 0)):
        gram[:, tap, :, tap] -= _autocorrelation(z[:, :, edge])
        gram[:, :, tap, :, tap] -= _autocorrelation(z[:, :, :, edge])
        for other_edge, other in ((0, 2), (-1, 0)):
            gram[:, tap, other, tap, other] += z[:, :, edge, other_edge].square().sum(0)
    return gram.view(channels, 9, 9)


def _autocorrelation(line: Tensor) -> Tensor:
    """Of lines (images, channels, length), at the offsets of three taps: (channels, 3, 3)."""
    length = line.shape[2]
    lags = [(line[..., : max(0, length - lag)] * line[..., lag:]).sum((0, 2)) for lag in range(3)]
    order = [[abs(tap - other) for other in range(3)] for tap in range(3)]
    return torch.stack(lags, 1)[:, order]


def _lags(pairs: Tensor) -> Tensor:
    """Sums of (channels, tap, other tap) by the taps' offset: (channels, 5)."""
    return torch.stack([pairs.diagonal(lag, 1, 2).sum(1) for lag in range(-2, 3)], 1)


def _along(line: Tensor, kernel: Tensor, constant: Tensor) -> Tensor:
    """Correlate lines (images, channels, length) with 5 numbers per channel, plus a constant."""
    length = line.shape[2]
    padded = F.pad(line, (2, 2))
    result = constant.unsqueeze(1) + kernel[:, :1] * padded[..., :length]
    for tap in range(1, 5):
        result = result.addcmul_(kernel[:, tap : tap + 1], padded[..., tap : tap + length])
    return result


def _both_inside(length: int, like: Tensor) -> Tensor:
    """(9, length): input pixels that tap t sees while tap t' sees one too, for t and t' of 3."""
    output = torch.arange(length, device=like.device)
    taps = torch.arange(3, device=like.device) - 1
    seen = output + taps.view(3, 1)  # (tap, output) -> input pixel
    inside = (seen >= 0) & (seen < length)
    both = (inside.unsqueeze(1) & inside.unsqueeze(0)).to(like.dtype)  # (t, t', output)
    result = like.new_zeros(3, 3, length + 2)
    for tap in range(3):
        result[tap, :, tap : tap + length] = both[tap]
    return result[..., 1:-1].reshape(9, length)


def _by_tap_pairs(values: Tensor) -> Tensor:
    """(n, row pairs, column pairs) -> (n, 9 taps, 9 other taps)."""
    rows_first = values.view(-1, 3, 3, 3, 3)  # row, other row, column, other column
    return rows_first.permute(0, 1, 3, 2, 4).reshape(-1, 9, 9)

"""From branches and moments to the one convolution that their sum is.

For branch i with weights w_i (padded to the merged kernel) and patches of mean m and covariance C:
mean_i = w_i m, var_i = w_i C w_iᵀ, s_i = γ_i / √(var_i + ε_i), and the sum of the branches is the
convolution with W = Σ s_i w_i and b = Σ β_i - s_i mean_i.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mobileone.interchange.torch.geometry import Geometry
from mobileone.interchange.torch.statistics import variance_of


class Part(NamedTuple):
    """A branch's modules; the convolution is None in an identity branch."""

    conv: nn.Conv2d | None
    norm: nn.BatchNorm2d


def uses_batch(norm: nn.BatchNorm2d) -> bool:
    """Whether a batch norm normalises by the batch's own statistics now."""
    return norm.training or norm.running_mean is None or norm.running_var is None


def merge(
    parts: Sequence[Part],
    geometry: Geometry,
    moments: tuple[Tensor, Tensor] | None,
    count: int,
    dtype: torch.dtype,
) -> tuple[Tensor, Tensor]:
    """Weight and bias of the merged convolution; updates running statistics as PyTorch does.

    Args:
        moments: mean and covariance of the patches; None if no norm uses the batch's statistics.
        count: the number of patches.
    """
    convolved = [part for part in parts if part.conv is not None]
    rows = _rows(convolved, geometry, dtype)
    branches, identities = len(convolved), [part for part in parts if part.conv is None]
    means: list[Tensor] = []
    variances: list[Tensor] = []
    if moments is not None:
        means, variances = _statistics(rows, branches, len(identities), geometry, moments)
        _track((*convolved, *identities), means, variances, count)

    scales, biases = [], []
    for index, (conv, norm) in enumerate((*convolved, *identities)):
        offset = None if conv is None or conv.bias is None else conv.bias.to(dtype)
        if uses_batch(norm):
            mean, variance = means[index], variances[index]
            if offset is not None:
                mean = (mean + offset) - offset  # no effect, and a gradient of zero, not none
        else:
            mean, variance = _running(norm, dtype)
            mean = mean if offset is None else mean - offset
        scale = torch.rsqrt(variance + norm.eps)
        if norm.weight is not None:
            scale = scale * norm.weight.to(dtype)
        scales.append(scale)
        biases.append(-scale * mean)
        if norm.bias is not None:
            biases.append(norm.bias.to(dtype))

    groups, outputs = geometry.groups, geometry.group_out
    factors = torch.stack(scales[:branches]).view(branches, groups, outputs, 1)
    per_branch = rows.view(groups, branches, outputs, -1).transpose(0, 1)
    weight = (factors * per_branch).sum(0).view(-1, geometry.group_in, *geometry.kernel)
    for scale in scales[branches:]:
        weight = weight + _identity(scale, geometry)
    return weight, torch.stack(biases).sum(0)


def _rows(parts: Sequence[Part], geometry: Geometry, dtype: torch.dtype) -> Tensor:
    """The branches' weights as linear maps of a patch: (groups, branches * outputs, taps)."""
    weights = []
    for conv, _ in parts:
        weight = conv.weight.to(dtype)  # type: ignore[union-attr]
        rows, columns = geometry.margins((weight.shape[2], weight.shape[3])) or (0, 0)
        if rows or columns:
            weight = F.pad(weight, (columns, columns, rows, rows))
        weights.append(weight.reshape(geometry.groups, geometry.group_out, geometry.taps))
    return torch.cat(weights, 1) if len(weights) > 1 else weights[0]


def _statistics(
    rows: Tensor,
    branches: int,
    identities: int,
    geometry: Geometry,
    moments: tuple[Tensor, Tensor],
) -> tuple[list[Tensor], list[Tensor]]:
    """Mean and variance of every channel of the convolved branches, then of the identities."""
    mean, covariance = moments
    by_branch = (geometry.groups, branches, geometry.group_out)
    both = torch.bmm(rows, mean.unsqueeze(2)), variance_of(rows, covariance)
    means, variances = (
        list(value.view(by_branch).transpose(0, 1).flatten(1).unbind()) for value in both
    )
    if identities:
        centre = slice(geometry.centre, None, geometry.area)
        means += [mean[:, centre].flatten()] * identities
        diagonal = covariance.diagonal(dim1=1, dim2=2)
        variances += [diagonal[:, centre].flatten().clamp_min(0)] * identities
    return means, variances


def _identity(scale: Tensor, geometry: Geometry) -> Tensor:
    """The weight of a convolution that scales each channel."""
    if geometry.group_in == 1:
        weight = scale.view(-1, 1, 1)
    else:
        weight = torch.diag_embed(scale.view(geometry.groups, -1)).flatten(0, 1).unsqueeze(2)
    before, after = geometry.centre, geometry.area - 1 - geometry.centre
    return F.pad(weight, (before, after)).view(-1, geometry.group_in, *geometry.kernel)


def _running(norm: nn.BatchNorm2d, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None  # `uses_batch` is False
    assert variance is not None
    return mean.to(dtype), variance.to(dtype)


@torch.no_grad()
def _track(parts: Sequence[Part], means: list[Tensor], variances: list[Tensor], count: int) -> None:
    """One step of every training norm's running statistics: of the unbiased variance."""
    for (conv, norm), mean, variance in zip(parts, means, variances, strict=True):
        if not (norm.training and norm.track_running_stats) or norm.running_mean is None:
            continue
        assert norm.running_var is not None  # both or none
        weight = 0.0 if norm.momentum is None else norm.momentum
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if norm.momentum is None:
                weight = 1 / float(norm.num_batches_tracked)
        if conv is not None and conv.bias is not None:
            mean = mean + conv.bias
        running = norm.running_mean
        running.lerp_(mean.to(running.dtype), weight)
        running = norm.running_var
        running.lerp_((variance * (count / (count - 1))).to(running.dtype), weight)

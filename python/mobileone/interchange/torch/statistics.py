"""Differentiable moments of patches, and the variance of linear maps of them.

Saved for backward is the input alone, which the convolution saves anyway.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mobileone.interchange.torch import engine
from mobileone.interchange.torch.convolution import Pending
from mobileone.interchange.torch.geometry import Geometry
from mobileone.interchange.torch.operators import patch_gradient, patch_moments


def statistics_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 where a tensor is, else float32: half precision is too short for sums."""
    double = any(tensor.dtype == torch.float64 for tensor in tensors)
    return torch.float64 if double else torch.float32


class PatchMoments(torch.autograd.Function):
    """x -> x itself, mean (groups, taps) and covariance (groups, taps, taps) of its patches.

    What follows takes x from here, so that its gradient arrives here and the moments' is added to
    it in the same pass. With S = (dC + dCᵀ) / M over the M patches p of mean m, a patch's gradient
    is S (p - m) + dm / M; x's is the sum over the patches that it is part of.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, geometry: Geometry, dtype: torch.dtype, pending: Pending | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """See the class."""
        mean, covariance = patch_moments(x, geometry, dtype)
        ctx.geometry, ctx.pending = geometry, pending
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(x, mean)
        return x.view_as(x), mean, covariance

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any, grad: Tensor | None, grad_mean: Tensor | None, grad_covariance: Tensor | None
    ) -> tuple[Tensor | None, None, None, None]:
        """See the class."""
        x, mean = ctx.saved_tensors
        if grad_mean is None and grad_covariance is None:
            return grad, None, None, None
        rows, columns = ctx.geometry.output_size(*x.shape[2:])
        count = len(x) * rows * columns
        constant = torch.zeros_like(mean) if grad_mean is None else grad_mean / count
        if grad_covariance is None:
            s = mean.new_zeros(*mean.shape, mean.shape[1])
        else:
            s = (grad_covariance + grad_covariance.mT).div_(count)
        values = x, ctx.geometry, mean, grad, s, constant
        if ctx.pending is not None and (through := ctx.pending.take()) is not None:
            return engine.gradient(*values, through), None, None, None
        return patch_gradient(*values), None, None, None


class Variance(torch.autograd.Function):
    """The variances w C wᵀ of linear maps: w (groups, n, taps), C (groups, taps, taps) symmetric.

    Its gradients are 2 dv ∘ (w C), without another product, and wᵀ dv w.
    """

    @staticmethod
    def forward(ctx: Any, w: Tensor, covariance: Tensor) -> Tensor:
        """See the class; never below zero."""
        mapped = torch.bmm(w, covariance)
        ctx.save_for_backward(w, mapped)
        return (mapped * w).sum(2).clamp_min_(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """See the class."""
        w, mapped = ctx.saved_tensors
        grad = grad.unsqueeze(2)
        need_w, need_covariance = ctx.needs_input_grad
        grad_covariance = torch.bmm(w.mT, grad * w) if need_covariance else None
        return 2 * grad * mapped if need_w else None, grad_covariance


def with_moments(
    x: Tensor, geometry: Geometry, dtype: torch.dtype, pending: Pending | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """`PatchMoments`; with ``pending``, what follows is `convolution.convolve` with it."""
    return PatchMoments.apply(x, geometry, dtype, pending)  # type: ignore[no-any-return,no-untyped-call]


def variance_of(w: Tensor, covariance: Tensor) -> Tensor:
    """`Variance`: (groups, n)."""
    return Variance.apply(w, covariance)  # type: ignore[no-any-return,no-untyped-call]

"""The merged convolution on the engine's kernels.

Its input's gradient is made in one pass with the moments'. Their S needs the gradient of the
weights, which the convolution's backward gives. So that leaves its own contribution pending, and
the moments' backward, which runs after it and is the only other one that x has, makes both.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mobileone.interchange.torch import engine
from mobileone.interchange.torch.geometry import Geometry


class Pending:
    """The gradient of a convolution's result, and its weight, until they are taken."""

    def __init__(self) -> None:
        self._through: tuple[Tensor, Tensor] | None = None

    def put(self, g: Tensor, weight: Tensor) -> None:
        """Keep them; those of an earlier backward that nobody took are forgotten."""
        self._through = g, weight

    def take(self) -> tuple[Tensor, Tensor] | None:
        """What has been put, once."""
        through, self._through = self._through, None
        return through


class MergedConvolution(torch.autograd.Function):
    """x, weight, bias -> the convolution; the gradient of x is left in a `Pending`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry, pending: Pending
    ) -> Tensor:
        """See the class."""
        ctx.geometry, ctx.pending = geometry, pending
        ctx.save_for_backward(x, weight)
        return engine.convolution(x, weight, bias, geometry)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[None, Tensor, Tensor, None, None]:
        """See the class."""
        x, weight = ctx.saved_tensors
        g = g.contiguous()
        if ctx.needs_input_grad[0]:
            ctx.pending.put(g, weight)
        return None, *engine.weight_gradient(x, g, ctx.geometry), None, None


def can_convolve(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> bool:
    """Whether `convolve` may be used on x, whose statistics are of ``dtype``."""
    return (
        not torch.compiler.is_compiling()
        and not torch.is_autocast_enabled(x.device.type)
        and engine.takes(x, geometry, dtype, x.requires_grad)
    )


def convolve(
    x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry, pending: Pending
) -> Tensor:
    """`MergedConvolution`, of an x that `statistics.with_moments` gave with ``pending``."""
    return MergedConvolution.apply(x, weight, bias, geometry, pending)  # type: ignore[no-any-return,no-untyped-call]

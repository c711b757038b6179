"""The moments and their gradient as operators that torch.compile takes as they are.

Their loops over images are not for a compiler to unroll: a compiled model calls them between its
own kernels, for any number of images.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mobileone.interchange.torch import depthwise, engine, patches
from mobileone.interchange.torch.geometry import Geometry


def patch_moments(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Mean (groups, taps) and covariance (groups, taps, taps) of x's patches."""
    if torch.compiler.is_compiling():
        return _moments_operator(x, geometry.as_list(), dtype)  # type: ignore[no-any-return]
    if engine.takes(x, geometry, dtype, gradient=False):
        return engine.moments(x, geometry)
    if depthwise.takes(geometry):
        return depthwise.moments(x, dtype)
    return patches.moments(x, geometry, dtype)


def patch_gradient(
    x: Tensor, geometry: Geometry, mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    """As `patches.gradient`."""
    if torch.compiler.is_compiling():
        values = x, geometry.as_list(), mean, grad, s, constant
        return _gradient_operator(*values)  # type: ignore[no-any-return]
    if engine.takes(x, geometry, s.dtype) and (grad is None or grad.dtype == x.dtype):
        return engine.gradient(x, geometry, mean, grad, s, constant)
    if depthwise.takes(geometry):
        return depthwise.gradient(x, mean, grad, s, constant)
    return patches.gradient(x, geometry, mean, grad, s, constant)


@torch.library.custom_op(
    "mobileone::patch_moments",
    mutates_args=(),
    schema="(Tensor x, int[] geometry, ScalarType dtype) -> (Tensor, Tensor)",
)
def _moments_operator(x: Tensor, geometry: list[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    return patch_moments(x, Geometry.from_list(geometry), dtype)


@_moments_operator.register_fake
def _(x: Tensor, geometry: list[int], dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    of = Geometry.from_list(geometry)
    mean = x.new_empty(of.groups, of.taps, dtype=dtype)
    return mean, mean.new_empty(of.groups, of.taps, of.taps)


@torch.library.custom_op(
    "mobileone::patch_gradient",
    mutates_args=(),
    schema="(Tensor x, int[] geometry, Tensor mean, Tensor? grad, Tensor s, Tensor constant)"
    " -> Tensor",
)
def _gradient_operator(
    x: Tensor, geometry: list[int], mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    return patch_gradient(x, Geometry.from_list(geometry), mean, grad, s, constant)


@_gradient_operator.register_fake
def _(
    x: Tensor, geometry: list[int], mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    return torch.empty_like(x)

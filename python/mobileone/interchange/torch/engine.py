"""Sums of branches on the engine's kernels: moments, the merged convolution, their gradients.

They read and write the tensors' own memory: float32 on a CPU, contiguous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mobileone._core import (
    available_isas,
    patch_convolution,
    patch_input_gradient,
    patch_moments,
    patch_weight_gradient,
)
from mobileone.interchange.torch.geometry import Geometry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def takes(x: Tensor, geometry: Geometry, dtype: torch.dtype, gradient: bool = True) -> bool:
    """Whether the engine has kernels for it, and the memory is as they read it.

    Args:
        gradient: whether that of the input is wanted.
    """
    return (
        type(x) in (Tensor, torch.nn.Parameter)  # others have no memory of their own
        and _has_kernels(geometry, gradient)
        and x.dtype == dtype == torch.float32
        and x.device.type == "cpu"
        and x.is_contiguous()
        and not x.is_neg()
        and x.numel() > 0
        and bool(available_isas())
    )


def _has_kernels(geometry: Geometry, gradient: bool) -> bool:
    if geometry.is_depthwise:
        strides = geometry.stride in ((1, 1), (2, 2))
        return strides and geometry.channels[0] == geometry.channels[1]
    ungrouped = geometry.groups == 1 and geometry.dilation == (1, 1)
    return ungrouped and (geometry.is_pixelwise or not gradient)


def moments(x: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """As `patches.moments`."""
    mean = x.new_empty(geometry.groups, geometry.taps)
    covariance = x.new_empty(*mean.shape, geometry.taps)
    arrays = _array(mean), _array(covariance)
    patch_moments(_array(x), geometry.as_list(), *arrays, torch.get_num_threads())
    return mean, covariance


def convolution(x: Tensor, weight: Tensor, bias: Tensor, geometry: Geometry) -> Tensor:
    """The merged convolution's result."""
    y = x.new_empty(len(x), geometry.channels[1], *geometry.output_size(*x.shape[2:]))
    arrays = _array(weight), _array(bias), _array(y)
    patch_convolution(_array(x), geometry.as_list(), *arrays, torch.get_num_threads())
    return y


def weight_gradient(x: Tensor, g: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """Of weight and bias, given the result's."""
    dweight = x.new_empty(geometry.channels[1], geometry.group_in, *geometry.kernel)
    dbias = x.new_empty(geometry.channels[1])
    arrays = _array(g), _array(dweight), _array(dbias)
    patch_weight_gradient(_array(x), geometry.as_list(), *arrays, torch.get_num_threads())
    return dweight, dbias


def gradient(
    x: Tensor,
    geometry: Geometry,
    mean: Tensor,
    grad: Tensor | None,
    s: Tensor,
    constant: Tensor,
    through: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """As `patches.gradient`; with ``through``, (g, weight), also the convolution's own."""
    result = torch.empty_like(x)
    g, weight = (None, None) if through is None else map(_array, through)
    patch_input_gradient(
        _array(x),
        geometry.as_list(),
        _array(mean),
        _array(s),
        _array(constant),
        None if grad is None else _array(grad),
        g,
        weight,
        _array(result),
        torch.get_num_threads(),
    )
    return result


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.detach().contiguous().numpy()
    return array

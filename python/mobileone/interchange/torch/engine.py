"""Moments of depthwise 3 × 3 patches, and their gradient, by the engine's kernels.

They read and write the tensors' own memory: float32 on a CPU, contiguous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mobileone._core import available_isas, depthwise_moments, depthwise_moments_gradient
from mobileone.interchange.torch.geometry import Geometry

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def takes(x: Tensor, geometry: Geometry, dtype: torch.dtype) -> bool:
    """Whether the engine has kernels for it, and the memory is as they read it."""
    return (
        geometry.is_depthwise
        and geometry.stride in ((1, 1), (2, 2))
        and x.dtype == dtype == torch.float32
        and x.device.type == "cpu"
        and x.is_contiguous()
        and not x.is_neg()
        and bool(available_isas())
    )


def moments(x: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor]:
    """As `patches.moments`."""
    shift = x.mean((0, 2, 3))
    found = depthwise_moments(_array(x), _array(shift), geometry.stride[0], torch.get_num_threads())
    sums, products = (torch.from_numpy(array) for array in found)
    rows, columns = geometry.output_size(*x.shape[2:])
    count = len(x) * rows * columns
    offset = sums.div_(count).unsqueeze(2)
    covariance = products.div_(count).baddbmm_(offset, offset.mT, alpha=-1)
    return (shift.unsqueeze(1) + offset.squeeze(2)).to(x.dtype), covariance.to(x.dtype)


def gradient(
    x: Tensor, geometry: Geometry, mean: Tensor, grad: Tensor | None, s: Tensor, constant: Tensor
) -> Tensor:
    """As `patches.gradient`."""
    shift = mean.mean(1)
    difference = (shift.unsqueeze(1) - mean).unsqueeze(2)
    constant = torch.baddbmm(constant.unsqueeze(2), s, difference).squeeze(2)
    result = torch.empty_like(x)
    depthwise_moments_gradient(
        _array(x),
        None if grad is None else _array(grad),
        _array(shift),
        _array(s),
        _array(constant),
        result.numpy(),
        geometry.stride[0],
        torch.get_num_threads(),
    )
    return result


def _array(tensor: Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.detach().contiguous().numpy()
    return array

"""Which path a block takes in training: moments or branches.

Costs of a step (forward and backward) are in multiply-adds of a large matrix product. The constants
are ratios that were measured with PyTorch 2.13 on a CPU with AVX-512; they decide speed only, never
what is computed.
"""

from __future__ import annotations

from mobileone.interchange.torch import depthwise
from mobileone.interchange.torch.geometry import Geometry

# Batch norm and addition of a branch, per output; one of unfold or fold with its product, per patch
# element; moments of a depthwise block and their gradient, per input.
_NORM, _UNFOLD, _PLANES = 260, 130, 900
# Per branch, output and pair of taps: two small products and copies of their operands.
_ALGEBRA = 4.5
# A convolution's tap of a group of one input channel, which no matrix product computes; more where
# strides keep the gradient from being vectorised.
_TAP, _STRIDED_TAP = 30, 100


def moments_are_faster(
    geometry: Geometry,
    kernels: list[tuple[int, int] | None],
    shape: tuple[int, int, int, int],
    input_gradient: bool,
    native: bool,
) -> bool:
    """Whether moments cost less than branches.

    Args:
        kernels: the branches' sizes; None for an identity.
        shape: the input's.
        input_gradient: whether the gradient of the input is needed; else its half is not computed.
        native: whether the engine computes the moments and the merged convolution.
    """
    if native and geometry.is_depthwise:
        return True  # 1.4 to 5 times as fast as two branches
    images, channels, height, width = shape
    rows, columns = geometry.output_size(height, width)
    count = images * rows * columns
    areas = [0 if kernel is None else kernel[0] * kernel[1] for kernel in kernels]
    branches = sum(_convolution(geometry, area, count) for area in areas)
    branches += len(kernels) * _NORM * geometry.channels[1] * count

    merged = _convolution(geometry, geometry.area, count)
    passes = 3 if input_gradient else 1
    if depthwise.takes(geometry):
        return branches > merged + _PLANES * images * channels * height * width
    products = (1 + input_gradient) * geometry.groups * geometry.taps**2 * count
    algebra = _ALGEBRA * len(kernels) * geometry.channels[1] * geometry.taps**2
    per_element = _NORM // 4 if geometry.is_pixelwise or native else _UNFOLD * passes
    elements = geometry.groups * geometry.taps * count
    return branches > merged + products + algebra + per_element * elements


def _convolution(geometry: Geometry, area: int, count: int) -> int:
    """A kernel of ``area`` taps per channel: the output and both gradients."""
    products = geometry.channels[1] * geometry.group_in * area * count
    if geometry.group_in > 1:
        return 3 * products
    return products * (_TAP if geometry.stride == (1, 1) else _STRIDED_TAP)

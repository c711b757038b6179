"""Moments of depthwise patches by the engine's kernels, against those by unfolding in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mobileone import _core
from mobileone.interchange.torch import engine, patches
from mobileone.interchange.torch.geometry import Geometry

from .blocks import noise

SIZES = ((1, 1, 3), (2, 5, 7), (3, 6, 4), (2, 17, 16))
CHANNELS = (1, 6, 16, 19)
U = 2.0**-24


def geometry_of(channels: int, stride: int) -> Geometry:
    pair = (stride, stride)
    return Geometry((channels, channels), (3, 3), pair, (1, 1), (1, 1), channels)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", CHANNELS)
def test_moments_and_gradient(channels: int, stride: int) -> None:
    """Off by a few roundings of a sum of so many terms, of their size, in any order."""
    geometry = geometry_of(channels, stride)
    for images, *size in SIZES:
        x = noise(images, channels, *size, seed=size[1]).float()
        assert engine.takes(x, geometry, torch.float32)
        assert not engine.takes(x, geometry, torch.float64)
        rows, columns = geometry.output_size(*size)
        bound = 4 * images * rows * columns * U
        mean, covariance = engine.moments(x, geometry)
        wanted, of_wanted = patches.moments(x.double(), geometry, torch.float64)
        # The covariance's terms are of differences from the channel's mean, padding too.
        largest = float((x.abs().max() * 2) ** 2)
        assert float((mean - wanted).abs().max()) <= bound * largest**0.5
        assert float((covariance - of_wanted).abs().max()) <= bound * largest

        s = noise(channels, 9, 9, seed=3)
        s = (s + s.mT).float()
        constant = noise(channels, 9, seed=4).float()
        for grad in (noise(*x.shape, seed=5).float(), None):
            found = engine.gradient(x, geometry, mean, grad, s, constant)
            doubles = None if grad is None else grad.double()
            expected = patches.gradient(
                x.double(), geometry, mean.double(), doubles, s.double(), constant.double()
            )
            # 81 products and as many differences; each patch has 9 taps in x.
            terms = 9 * float(s.abs().sum(2).max() * (x.abs().max() + mean.abs().max()) * 2)
            terms += 9 * float(constant.abs().max()) + 10
            assert float((found - expected).abs().max()) <= 100 * U * terms


def test_the_number_of_threads_changes_no_bit() -> None:
    x, shift = noise(3, 35, 9, 8).float().numpy(), noise(35).float().numpy()
    s, constant = noise(35, 9, 9, seed=1).float().numpy(), noise(35, 9, seed=2).float().numpy()
    results = []
    for threads in (1, 2, 3):
        result = np.empty_like(x)
        _core.depthwise_moments_gradient(x, None, shift, s, constant, result, 2, threads)
        results.append((*_core.depthwise_moments(x, shift, 2, threads), result))
    for other in results[1:]:
        for found, expected in zip(other, results[0], strict=True):
            np.testing.assert_array_equal(found, expected)


def test_what_does_not_fit_is_refused() -> None:
    x, shift = np.zeros((2, 3, 4, 5), np.float32), np.zeros(3, np.float32)
    with pytest.raises(ValueError, match="stride is 3; expected 1 or 2"):
        _core.depthwise_moments(x, shift, 3)
    with pytest.raises(ValueError, match=r"x has shape \(3, 4, 5\)|x has shape \[3, 4, 5\]"):
        _core.depthwise_moments(x[0], shift)
    with pytest.raises(ValueError, match="shift"):
        _core.depthwise_moments(x, shift[:2])
    with pytest.raises((ValueError, TypeError), match="x"):
        _core.depthwise_moments(x.astype(np.float64), shift)

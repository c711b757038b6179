"""A convolution's integers: no bias is lost, and rows are clipped only where that helps."""

from __future__ import annotations

import numpy as np
import pytest
from mobileone.quantization.numbers import LARGEST_WEIGHT, Integers, Range, bias_integers
from mobileone.quantization.sites import Site
from mobileone.quantization.weights import round_weight

FIELDS = {"in_channels": 6, "out_channels": 4, "groups": 1, "kernel_size": [3, 3]}
SITE = Site("conv", "input", "relu", FIELDS)


@pytest.mark.parametrize("size", [0.0, 1e-30, 1e-10, 1.0, 1e6])
def test_a_bias_survives_weights_of_any_size(size: float) -> None:
    """Also of a channel whose weights are 0, which has no scale of its own."""
    rng = np.random.default_rng(0)
    weight = (size * rng.standard_normal((4, 6, 3, 3))).astype(np.float32)
    bias = np.array([0.0, 0.7, -3e3, 1e-6])
    taken = Range.of(0.0, 5.0)
    whole, scale = round_weight(SITE, weight, bias, taken.scale)
    units = bias_integers(bias, taken.scale, scale)
    assert np.abs(whole).max() <= LARGEST_WEIGHT
    assert np.abs(units).max() <= 2**30
    assert (units == np.rint(units)).all()
    found = Integers(taken, Range.of(0, 1), whole, scale, units)
    # Half a unit, which no weight is finer than; or what float32 holds of a bias beside weights
    # that are nothing.
    unit = scale.astype(np.float64) * taken.scale
    assert (np.abs(found.float_bias() - bias) <= 0.5 * unit + 2.0**-22 * np.abs(bias)).all()
    finest = np.abs(weight).max((1, 2, 3)) * taken.scale / LARGEST_WEIGHT
    assert (unit <= 1.001 * finest + 2.0**-21 * np.abs(bias) + 2.0**-100).all()


def test_rounding_is_to_the_nearest() -> None:
    weight = np.random.default_rng(1).standard_normal((4, 6, 3, 3)).astype(np.float32)
    whole, scale = round_weight(SITE, weight, np.zeros(4), 0.1)
    np.testing.assert_allclose(scale, np.abs(weight).max((1, 2, 3)) / 127, rtol=1e-6)
    error = np.abs(whole * scale[:, None, None, None] - weight)
    assert (error <= 0.5001 * scale[:, None, None, None]).all()
    assert (np.abs(whole).max((1, 2, 3)) == 127).all()


def test_rows_are_clipped_where_their_error_gets_smaller() -> None:
    """By brute force: the sums of random inputs with these powers."""
    rng = np.random.default_rng(2)
    weight = rng.standard_normal((4, 6, 3, 3)).astype(np.float32)
    power = np.array([1e-6, 1, 1, 1, 1, 1])
    weight[:, 0] *= 4  # large, of an input that is next to nothing
    plain, clipped = (
        round_weight(SITE, weight, np.zeros(4), 0.1, counts) for counts in (None, power)
    )
    x = rng.standard_normal((6 * 9, 4096)) * np.repeat(np.sqrt(power), 9)[:, None]
    errors = []
    for whole, scale in (plain, clipped):
        rounded = (whole * scale[:, None, None, None]).reshape(4, -1)
        errors.append(np.square((rounded - weight.reshape(4, -1)) @ x).mean(1))
    assert (errors[1] <= errors[0] * 1.05).all()
    assert errors[1].sum() < 0.8 * errors[0].sum()


def test_multipliers_have_22_bits() -> None:
    """The nearest ones, also where rounding makes a power of two."""
    scales = np.float32(2.0) ** np.arange(-40, 3) * np.float32(1.3)
    scales = np.concatenate([scales, np.nextafter(np.float32([1.0, 0.5]), np.float32(0))])
    ones = np.zeros((len(scales), 1, 1, 1), np.float32)
    taken, given = Range.of(0.0, 7.0), Range.of(0.0, 3.0)
    found = Integers(taken, given, ones, scales, scales).multiplier
    assert (found.view(np.uint32) % 4 == 0).all()
    exact = scales.astype(np.float64) * taken.scale / given.scale
    assert (np.abs(found - exact) <= (2.0**-22 + 2.0**-24) * exact).all()

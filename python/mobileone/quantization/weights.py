"""A convolution's weights as integers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32
from mobileone.quantization.numbers import LARGEST_WEIGHT, least_weight_scale
from mobileone.quantization.sites import Site

__all__ = ["round_weight"]

Float64 = npt.NDArray[np.float64]

# Shares of a row's largest magnitude that its integers reach to.
_SHARES = np.linspace(1.0, 0.7, 13)


def round_weight(
    site: Site,
    weight: Float32,
    bias: Float64,
    input_scale: float,
    power: Float64 | None = None,
) -> tuple[Float32, Float32]:
    """Integers -127 to 127 as float32, and the scale of each output channel.

    Args:
        site: whose weight it is.
        weight: [out, in / groups, kh, kw].
        bias: [out]; no scale is so small that it would not fit.
        input_scale: of the activations.
        power: mean square of every input channel [in]: with it, rows are clipped where that lowers
            the error of the sums. Without, no weight is clipped.
    """
    rows = weight.reshape(len(weight), -1).astype(np.float64)
    least = least_weight_scale(bias, input_scale)
    largest = np.abs(rows).max(1)
    tried = _SHARES if power is not None else _SHARES[:1]
    counts = None if power is None else _counts(site, weight.shape, power)
    best, integers, scales = np.full(len(rows), np.inf), np.zeros_like(rows), least.copy()
    for share in tried:
        scale = np.maximum((largest * share / LARGEST_WEIGHT).astype(np.float32), least)
        found = np.clip(np.rint(rows / scale[:, None]), -LARGEST_WEIGHT, LARGEST_WEIGHT)
        error = np.square(found * scale[:, None] - rows)
        cost = (error if counts is None else error * counts).sum(1)
        better = cost < best
        best[better], scales[better] = cost[better], scale[better]
        integers[better] = found[better]
    return integers.reshape(weight.shape).astype(np.float32), scales


def _counts(site: Site, shape: tuple[int, ...], power: Float64) -> Float64:
    """How much the square of a weight's error counts: [out, products of a sum]."""
    groups, outputs = site.attributes["groups"], shape[0]
    by_group = power.reshape(groups, shape[1])
    by_row = np.repeat(by_group, outputs // groups, axis=0)
    return np.repeat(by_row, shape[2] * shape[3], axis=1)

"""How good logits are, picture by picture and in total: exact, whatever the order of pictures."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = [
    "CALIBRATION_BINS",
    "Z_95",
    "Interval",
    "exact_sum",
    "log_softmax",
    "mcnemar_p_value",
    "paired_difference",
    "ranks",
    "units",
    "wilson",
]

# Guo et al., "On Calibration of Modern Neural Networks" (2017), use 15 bins of equal width.
CALIBRATION_BINS = 15
# Of the normal distribution, for 95 % confidence.
Z_95 = 1.959963984540054
# Sums of reals are made of integers in this unit, which add up to the same in any order. What
# that rounds away is below 2^-33 of a picture.
_UNIT = 2.0**-32
# So many values below 2^20 at a time have a sum in 64 bits: 2^(32 + 20 + 10).
_LARGE, _PIECE = 2.0**20, 1 << 10


class Interval(NamedTuple):
    """An estimate and the bounds of its 95 % confidence interval."""

    value: float
    low: float
    high: float


def log_softmax(logits: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Logarithms of the probabilities [N, K], in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    log_p: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return log_p


def ranks(logits: npt.NDArray[Any], labels: npt.NDArray[Any]) -> npt.NDArray[np.int32]:
    """How many classes come before the right one [N]: 0 where it is the most probable.

    Of equal logits the class with the smaller index comes first, as in `numpy.argmax`.
    """
    own = np.take_along_axis(logits, labels[:, None], axis=1)
    before = np.arange(logits.shape[1]) < labels[:, None]
    found: npt.NDArray[np.int32] = ((logits > own) | ((logits == own) & before)).sum(1, np.int32)
    return found


def units(values: npt.NDArray[Any]) -> int:
    """The sum of finite values in units of 2^-32, exact in any order."""
    large = np.abs(values) >= _LARGE
    total = sum(round(float(value) / _UNIT) for value in values[large])
    scaled = np.rint(values[~large] / _UNIT).astype(np.int64)
    pieces = range(0, len(scaled), _PIECE)
    return total + sum(int(scaled[i : i + _PIECE].sum()) for i in pieces)


def exact_sum(total: int) -> float:
    """The real number that a sum of `units` stands for."""
    return total * _UNIT


def wilson(right: int, count: int) -> Interval:
    """A share of `count` independent trials with Wilson's score interval (1927)."""
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    share, z2 = right / count, Z_95 * Z_95
    centre = (share + z2 / (2 * count)) / (1 + z2 / count)
    spread = Z_95 / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    # At 0 and 1 the formula's bound is exact, its rounding is not.
    low = 0.0 if right == 0 else centre - spread
    high = 1.0 if right == count else centre + spread
    return Interval(share, low, high)


def paired_difference(gained: int, lost: int, count: int) -> Interval:
    """The difference of two shares on the same trials, with Wald's interval for paired data.

    Args:
        gained: trials that the second has right and the first wrong.
        lost: the reverse.
        count: all trials.
    """
    if not count:
        return Interval(math.nan, math.nan, math.nan)
    value = (gained - lost) / count
    variance = max(0.0, (gained + lost) / count - value**2) / count
    spread = Z_95 * math.sqrt(variance)
    return Interval(value, value - spread, value + spread)


def mcnemar_p_value(gained: int, lost: int) -> float:
    """McNemar's exact test (1947): two-sided, of equal chances for a change in either direction.

    The probability of a split at least as uneven as `gained` to `lost` by tosses of a fair coin.
    """
    trials, fewer = gained + lost, min(gained, lost)
    if gained == lost:
        return 1.0
    log_all = math.lgamma(trials + 1) - trials * math.log(2)
    terms = (
        math.exp(log_all - math.lgamma(k + 1) - math.lgamma(trials - k + 1))
        for k in range(fewer, -1, -1)
    )
    total = 0.0
    for term in terms:  # from the largest one down: what adds nothing ends the sum
        total += term
        if term < total * 1e-17:
            break
    return min(1.0, 2 * total)

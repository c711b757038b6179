"""What the largest of many rounding errors stays below: docs/verification.md derives it."""

from __future__ import annotations

import math

__all__ = ["FALSE_ALARM", "tail_bound"]

# Probability that rounding alone leaves a bound.
FALSE_ALARM = 1e-9
# Where the standard normal distribution's upper tail is 1e-3.
_Z = 3.0902


def tail_bound(deviation: float, count: int, samples: int) -> float:
    """What the largest of `count` errors of this standard deviation stays below.

    A union bound over Gaussian tails; and, since the deviation is itself estimated from
    `count * samples` errors, it is divided by the root of chi-square's lower 1e-3 quantile.
    """
    freedom = count * samples
    if freedom == 0:
        return 0.0
    # Wilson & Hilferty (1931), and what P(chi2 < c) <= (c / 2)^(f / 2) / gamma(f / 2 + 1) implies,
    # which is the closer one for a few degrees of freedom f.
    quantile = max(
        (1 - 2 / (9 * freedom) - _Z * math.sqrt(2 / (9 * freedom))) ** 3,
        2 / freedom * math.exp((math.log(1e-3) + math.lgamma(freedom / 2 + 1)) * 2 / freedom),
    )
    confidence = 1 / math.sqrt(quantile)
    return deviation * confidence * math.sqrt(2 * math.log(2 * count / FALSE_ALARM))

"""Ratios between engines that were measured in the same rounds, and the noise of such ratios."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["QUIET", "Null", "Ratio", "null_of", "ratio_of", "verdict"]

# Sample ns by round: {round: [ns, ...]}.
Rounds = Mapping[int, Sequence[int]]

# Two identical workers within this of each other: the machine counts as quiet.
QUIET = 0.03
_RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Time of one engine relative to ours: above 1 ours is faster, by that factor.

    ``median`` is over rounds, of the ratio of the two medians in a round; ``low`` and ``high``
    bound it with 95 % confidence (bootstrap over the rounds). ``of_minima`` is the ratio of the two
    shortest runs.
    """

    median: float
    low: float
    high: float
    of_minima: float
    rounds: int


@dataclass(frozen=True)
class Null:
    """Ours against ours. ``spread``: the factor that two identical processes may differ by."""

    ratio: Ratio
    spread: float

    @property
    def quiet(self) -> bool:
        """True if the null run's ratio is within 3 % of 1, and known that well."""
        return self.spread <= 1 + QUIET


def ratio_of(theirs: Rounds, ours: Rounds) -> Ratio | None:
    """None if the two share no round."""
    common = sorted(theirs.keys() & ours.keys())
    if not common:
        return None
    ratios = np.array([np.median(theirs[i]) / np.median(ours[i]) for i in common])
    low, high = _interval(ratios)
    minima = [min(min(rounds[i]) for i in common) for rounds in (theirs, ours)]
    return Ratio(float(np.median(ratios)), low, high, minima[0] / minima[1], len(common))


def _interval(ratios: npt.NDArray[np.float64]) -> tuple[float, float]:
    draws = np.random.default_rng(0).choice(ratios, (_RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(low), float(high)


def null_of(again: Rounds, ours: Rounds) -> Null | None:
    """The spread is the farther end of the interval of the ratio, taken as a factor above 1."""
    ratio = ratio_of(again, ours)
    if ratio is None:
        return None
    farthest = max(abs(math.log(value)) for value in (ratio.low, ratio.high))
    return Null(ratio, math.exp(farthest))


def verdict(ratio: Ratio | None, null: Null | None) -> str:
    """Who is faster: "ours", "theirs", "tie", or "unknown" without rounds or a null run.

    A tie is a ratio within the null's spread, or one whose interval holds 1.
    """
    if ratio is None or null is None:
        return "unknown"
    if max(ratio.median, 1 / ratio.median) <= null.spread or ratio.low <= 1 <= ratio.high:
        return "tie"
    return "ours" if ratio.median > 1 else "theirs"

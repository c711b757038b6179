"""Spearman's rank correlation, with a permutation test."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["RankCorrelation", "rank_correlation"]

# Up to this many pairs all orders are tried (8! = 40320), above it as many random ones.
_EXACT = 8
_RANDOM_ORDERS = 40_000


@dataclass(frozen=True)
class RankCorrelation:
    """The coefficient in [-1, 1], NaN if one side is constant, and the two-sided p-value."""

    coefficient: float
    p_value: float
    pairs: int


def rank_correlation(x: Sequence[float], y: Sequence[float]) -> RankCorrelation:
    """Spearman's coefficient: Pearson's of the ranks, where equal values share their mean rank.

    The p-value is the share of the orders of ``y`` whose coefficient is at least as far from zero:
    exact for up to 8 pairs, estimated from 40000 seeded random orders above. ValueError for
    sequences of different lengths or fewer than 3 pairs.
    """
    if len(x) != len(y) or len(x) < 3:
        raise ValueError(
            f"x has {len(x)} values and y has {len(y)}; expected as many of each, at least 3"
        )
    a, b = _standard(_ranks(x)), _standard(_ranks(y))
    coefficient = float(a @ b)
    if math.isnan(coefficient):
        return RankCorrelation(math.nan, math.nan, len(x))
    chance = np.abs(b[_orders(len(x))] @ a)
    # Ties with the found coefficient count, whatever order their products were added in.
    p_value = float(np.mean(chance >= abs(coefficient) - 1e-9))
    return RankCorrelation(min(1.0, max(-1.0, coefficient)), p_value, len(x))


def _ranks(values: Sequence[float]) -> npt.NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    below = (array[:, None] > array[None, :]).sum(axis=1)
    equal = (array[:, None] == array[None, :]).sum(axis=1)
    ranks: npt.NDArray[np.float64] = below + (equal + 1) / 2
    return ranks


def _standard(ranks: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Centred and of unit length; NaN where all ranks are equal."""
    centred = ranks - ranks.mean()
    length = float(np.sqrt(centred @ centred))
    return centred / length if length > 0.0 else np.full_like(centred, np.nan)


def _orders(count: int) -> npt.NDArray[np.intp]:
    if count <= _EXACT:
        return np.array(list(itertools.permutations(range(count))), dtype=np.intp)
    orders = np.tile(np.arange(count, dtype=np.intp), (_RANDOM_ORDERS, 1))
    shuffled: npt.NDArray[np.intp] = np.random.default_rng(0).permuted(orders, axis=1)
    shuffled[0] = np.arange(count)  # the order that was found is one of them: never p = 0
    return shuffled

"""Ratios and their noise, on known samples."""

from __future__ import annotations

import pytest

from benchmarks.runtimes.ratios import Null, Ratio, null_of, ratio_of, verdict


def test_ratio_is_the_median_over_rounds_of_ratios_of_medians() -> None:
    ours = {0: [100, 110, 900], 1: [200, 200], 2: [100], 7: [1]}
    theirs = {0: [220, 1, 220], 1: [600, 600], 2: [125], 9: [1]}
    ratio = ratio_of(theirs, ours)
    assert ratio is not None
    assert ratio.median == 2.0  # of 2, 3 and 1.25
    assert (ratio.low, ratio.high) == (1.25, 3.0)
    assert ratio.of_minima == 1 / 100
    assert ratio.rounds == 3


def test_drift_of_the_machine_does_not_reach_the_ratio() -> None:
    slowdown = [1, 1.5, 1, 1.5, 1.5, 1, 1.5]
    ours = {i: [int(1000 * s)] for i, s in enumerate(slowdown)}
    theirs = {i: [int(1200 * s)] for i, s in enumerate(slowdown)}
    ratio = ratio_of(theirs, ours)
    assert ratio is not None
    assert (ratio.low, ratio.median, ratio.high) == (1.2, 1.2, 1.2)


def test_no_common_round_no_ratio() -> None:
    assert ratio_of({0: [1]}, {1: [1]}) is None
    assert null_of({}, {}) is None
    assert verdict(None, None) == "unknown"


@pytest.mark.parametrize(
    ("again", "spread", "quiet"),
    [
        ([101, 101, 101], 1.01, True),
        ([99, 100, 100], 100 / 99, True),
        ([80, 100, 125], 1.25, False),
    ],
)
def test_spread_of_the_null_run(again: list[int], spread: float, quiet: bool) -> None:
    null = null_of(dict(enumerate([[n] for n in again])), {i: [100] for i in range(3)})
    assert null is not None
    assert null.spread == pytest.approx(spread)
    assert null.quiet is quiet


@pytest.mark.parametrize(
    ("median", "low", "high", "expected"),
    [
        (1.20, 1.10, 1.30, "ours"),
        (0.80, 0.70, 0.90, "theirs"),
        (1.04, 1.03, 1.05, "tie"),  # within the spread of 1.05
        (0.96, 0.95, 0.97, "tie"),
        (1.20, 0.99, 1.40, "tie"),  # not told apart from 1
    ],
)
def test_verdict(median: float, low: float, high: float, expected: str) -> None:
    null = Null(Ratio(1.0, 0.99, 1.05, 1.0, 9), spread=1.05)
    assert verdict(Ratio(median, low, high, median, 9), null) == expected

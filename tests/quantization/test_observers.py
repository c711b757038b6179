"""Ranges against a slow search over the values themselves."""

from __future__ import annotations

import numpy as np
import pytest
from mobileone._core import GraphBuilder, Network
from mobileone.quantization.numbers import Range
from mobileone.quantization.observers import (
    OBSERVERS,
    Clipping,
    channel_limits,
    check_observer,
    tensor_range,
)
from mobileone.quantization.statistics import BINS, Statistics, collect
from numpy.typing import NDArray


def statistics_of(values: NDArray) -> Statistics:
    """Of one image [C, H, W]."""
    builder = GraphBuilder()
    builder.add("input", "Input", channels=len(values))
    builder.add("same", "Activation", ["input"], kind="relu")
    builder.output("same")
    network = Network(builder.build(), {})
    return collect(network, values[None].astype(np.float32), ["input"])["input"]


@pytest.fixture
def values() -> NDArray:
    """Heavy-tailed channels of very different widths, half of the values 0."""
    rng = np.random.default_rng(0)
    raw = rng.standard_t(3, (5, 64, 64)) * np.array([0.01, 1, 3, 10, 0.3])[:, None, None]
    return np.maximum(raw, 0).astype(np.float32)


def test_statistics_are_the_values(values: NDArray) -> None:
    found = statistics_of(values)
    flat = values.reshape(5, -1).astype(np.float64)
    np.testing.assert_allclose(found.high, flat.max(1))
    np.testing.assert_allclose(found.mean, flat.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.square, np.square(flat).mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.positive, (flat != 0).mean(1))
    for channel, counts in zip(flat, found.counts, strict=True):
        expected, _ = np.histogram(channel, BINS, (0, channel.max()))
        # float32 puts values next to an edge on either side of it
        assert np.abs(np.cumsum(counts * channel.size - expected)).max() <= 8


def test_the_error_of_clipping_is_what_rounding_gives(values: NDArray) -> None:
    clipping = Clipping(statistics_of(values))
    for share in (1.0, 0.5, 0.2):
        limits = values.reshape(5, -1).max(1).astype(np.float64) * share
        for c, limit in enumerate(limits):
            own = Range.of(0.0, float(limit))
            error = np.square(own.rounded(values[c]) - values[c].astype(np.float64)).mean()
            model = clipping.squared(limits, limits / 255)[c]
            # Bins of 1/512 of the range, and s^2 / 12 where values below s / 2 have less.
            assert model == pytest.approx(error, rel=0.15)


@pytest.mark.parametrize("observer", OBSERVERS)
def test_ranges_are_near_the_best(values: NDArray, observer: str) -> None:
    """No limit on a fine grid is much better than the one found, by the observer's measure."""
    found = tensor_range(statistics_of(values), observer)
    high = float(values.max())
    if observer == "minmax":
        assert found.high == pytest.approx(high, rel=1e-6)
        return
    if observer == "percentile":
        share = (values <= found.high).mean()
        assert 0.9995 < share < 1.0
        return
    power = 2 if observer == "squared_error" else 1

    def cost(limit: float) -> float:
        own = Range.of(0.0, limit)
        return float((np.abs(own.rounded(values) - values.astype(np.float64)) ** power).mean())

    best = min(cost(high * share) for share in np.linspace(0.02, 1.0, 200))
    assert cost(found.high) <= 1.15 * best


@pytest.mark.parametrize("observer", OBSERVERS)
def test_limits_of_channels_are_those_of_each_alone(values: NDArray, observer: str) -> None:
    together = channel_limits(statistics_of(values), observer)
    for c in range(5):
        alone = channel_limits(statistics_of(values[c : c + 1]), observer)
        assert together[c] == pytest.approx(alone[0], rel=1e-6)
        assert together[c] <= values[c].max() * (1 + 1e-6)


def test_ranges_hold_zero_exactly() -> None:
    for low, high in ((-1.0, 3.0), (0.5, 2.0), (-4.0, -1.0), (0.0, 0.0), (-1e-30, 1e-30)):
        found = Range.of(low, high)
        assert 0 <= found.zero_point <= 255
        assert found.rounded(np.zeros(1, np.float32))[0] == 0
        assert found.low <= low + found.scale
        assert found.high >= high - found.scale


def test_an_unknown_observer_is_named() -> None:
    with pytest.raises(ValueError, match=r"observer is 'mean'; expected one of minmax"):
        check_observer("mean")

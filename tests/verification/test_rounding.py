"""Bounds on float32 rounding errors and the judgement of differences that rests on them."""

from __future__ import annotations

import math

import mobileone
import numpy as np
import pytest
import torch_mobileone
from mobileone import _core
from mobileone.network.tails import tail_bound
from mobileone.verification.comparison import compare, diagnose, worst
from mobileone.verification.rounding import (
    FALSE_ALARM,
    difference_bounds,
    rounding_bound,
)

SIZE = 64


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return mobileone.load(torch_mobileone.create("mobileone_mu1"))


def images() -> np.ndarray:
    return np.random.default_rng(3).standard_normal((3, 3, SIZE, SIZE), dtype=np.float32)


def test_the_engine_stays_within_its_bounds_of_the_exact_result() -> None:
    for name in ("mobileone_mu0", "mobileone_s4"):
        model = mobileone.load(torch_mobileone.create(name))
        for form in (model, mobileone.reparameterize(model)):
            x = np.random.default_rng(3).standard_normal((1, 3, 65, 96), dtype=np.float32)
            nodes = [*form.graph.feature_names, form.graph.output_name]
            exact, _ = _core.reference_forward(form.network, x, nodes)
            bounds = rounding_bound(form, x)
            found = [*form.features(x), form(x)]
            for a, b, bound in zip(exact, found, [*bounds.levels, bounds.logits], strict=True):
                assert 0 < np.abs(a - b).max() <= bound


def test_bounds_of_a_selection_of_levels(model: mobileone.Model) -> None:
    x = images()
    every, some = rounding_bound(model, x), rounding_bound(model, x, (3, 1))
    assert some.levels == [every.levels[3], every.levels[1]]
    assert some.logits == every.logits
    assert some.statistics == {}
    with pytest.raises(ValueError, match="out_indices has 5; expected 0 to 4"):
        rounding_bound(model, x, (5,))


def test_training_mode_has_bounds_of_its_own(model: mobileone.Model) -> None:
    training = mobileone.load(model.state_dict()).train()
    x = images()
    bounds = rounding_bound(training, x)
    assert set(bounds.statistics) == {k for k in training.state_dict() if "running_" in k}
    exact, statistics = _core.reference_forward(
        training.network, x, [training.graph.output_name], training=True
    )
    logits = training(x)
    assert 0 < np.abs(logits - exact[0]).max() <= bounds.logits
    for name, expected in statistics.items():
        assert np.abs(training.state_dict()[name] - expected).max() <= bounds.statistics[name]


def test_errors_of_two_networks_add_in_squares(model: mobileone.Model) -> None:
    x, fused = images(), mobileone.reparameterize(model)
    found = difference_bounds(model, fused, x, samples=2, seed=3)
    nodes = [[*m.graph.feature_names, m.graph.output_name] for m in (model, fused)]
    shapes = model.graph.shapes(x.shape)
    for level, name in enumerate(nodes[0]):
        # Seeds 2 s and 2 s + 1; images in pairs, the louder pair counts.
        sigma = [
            max(
                _core.rounding_deviation(m.network, part, [names[level]], 2, 6 + i)[0][0][1]
                for part in (x[:2], x[2:])
            )
            for i, (m, names) in enumerate(zip((model, fused), nodes, strict=True))
        ]
        assert found[level] == tail_bound(math.hypot(*sigma), math.prod(shapes[name]), 2)


@pytest.mark.parametrize("count", [1, 2, 10, 1000, 10**6])
def test_rounding_leaves_the_bound_as_rarely_as_stated(count: int) -> None:
    # Union bound: `count` Gaussian tails beyond the bound of a known deviation.
    bound = tail_bound(1.0, count, 10**9)
    assert count * math.erfc(bound / math.sqrt(2)) <= FALSE_ALARM
    # An estimate from few samples is trusted less, and no bound is looser without a reason.
    assert bound <= tail_bound(1.0, count, 4) <= tail_bound(1.0, count, 1)
    assert count * math.erfc(bound / math.sqrt(2) / 1.25) > FALSE_ALARM


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 8, 32])
def test_an_estimate_from_few_errors_is_made_up_for(freedom: int) -> None:
    """The lower 1e-3 quantile of chi-square, against a simulation of it."""
    squares = np.random.default_rng(0).chisquare(freedom, 400_000) / freedom
    factor = tail_bound(1.0, 1, freedom) / math.sqrt(2 * math.log(2 / FALSE_ALARM))
    # Estimates below truth / factor: 400 expected at 1e-3; 100 more is five standard deviations.
    assert (np.sqrt(squares) * factor < 1).sum() <= 500


def maps(value: float = 1.0) -> np.ndarray:
    return np.full((2, 3, 8, 9), value, np.float32)


def test_compare_measures_against_the_reference() -> None:
    a, b = maps(4), maps(4)
    b[1, 2, 3, 4] = 5
    error = compare("stage 1", a, b, 2.0)
    assert (error.max_abs, error.max_rel, error.ratio, error.ok) == (1.0, 0.25, 0.5, True)
    assert error.cosine == pytest.approx((432 + 5 / 4 - 1) / math.sqrt(432 * (431 + 25 / 16)))
    assert not compare("stage 1", a, b, 0.999).ok
    assert not compare("stage 1", a, b, math.nan).ok
    assert compare("stage 1", maps(0), maps(0), 0.0).ok
    assert not compare("stage 1", maps(0), maps(1e-30), 0.0).ok


def test_worst_prefers_the_batch_that_fails() -> None:
    good, bad = compare("x", maps(), maps(), 1.0), compare("x", maps(), maps(3), 1.0)
    nan = compare("x", maps(), maps(math.nan), 1.0)
    assert worst([good, bad]) == worst([bad, good]) == bad
    assert not worst([good, nan, bad]).ok


def test_diagnosis_of_a_border() -> None:
    b = maps()
    b[:, :, 0], b[:, :, :, -1] = 2, 2
    assert "padding" in diagnose(maps(), b)


@pytest.mark.parametrize(("value", "hint"), [(2.0, "branch"), (1.001, "eps")])
def test_diagnosis_of_an_even_error(value: float, hint: str) -> None:
    assert hint in diagnose(maps(), maps(value))


def test_diagnosis_of_overflow_and_of_the_head() -> None:
    assert "candidate has values there that are not finite" in diagnose(maps(), maps(math.inf))
    assert "reference has values" in diagnose(maps(math.nan), maps())
    assert "classifier" in diagnose(np.zeros((2, 5)), np.ones((2, 5)))

"""Models travel: to other processes by pickle, and as independent copies."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from itertools import product

import mobileone
import numpy as np
import pytest
from cases import FORMS, SMALL_MOBILEVIT

SHAPE = (2, 3, 48, 48)


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)


def mobileone_model() -> mobileone.Model:
    return mobileone.create_model(
        "custom", widths=[16, 32], depths=[1, 2], se_depths=[0, 1], num_classes=7, seed=3
    )


def mobilevit_model() -> mobileone.Model:
    return mobileone.create_model("mobilevit_custom", **SMALL_MOBILEVIT, seed=3, dropout=0.2)


@pytest.fixture(
    params=product((mobileone_model, mobilevit_model), FORMS),
    ids=lambda case: f"{case[0].__name__}-{case[1]}",
)
def model(request: pytest.FixtureRequest) -> mobileone.Model:
    make, form = request.param
    return make() if form == "train-time" else mobileone.reparameterize(make())


def test_pickle_gives_the_same_logits_and_facts(model: mobileone.Model) -> None:
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back(images()), model(images()))
    facts = ("name", "arch", "form", "config", "num_params", "data_config", "training")
    for fact in (*facts, "dropout_seed"):
        assert getattr(back, fact) == getattr(model, fact)


def test_a_copy_of_a_model_in_training_drops_the_same_elements() -> None:
    model = mobilevit_model().train()
    model(images())
    twin = pickle.loads(pickle.dumps(model))
    assert (twin.training, twin.dropout_seed) == (True, 1)
    np.testing.assert_array_equal(twin(images()), model(images()))


def test_a_deep_copy_is_independent() -> None:
    model = mobileone.create_model("custom", widths=[16], depths=[1], num_classes=7)
    before = model(images())
    twin = copy.deepcopy(model).train()
    twin(images())
    np.testing.assert_array_equal(model(images()), before)
    assert np.abs(twin.eval()(images()) - before).max() > 0


def logits_elsewhere(model: mobileone.Model) -> np.ndarray:
    return model(images())


def test_a_spawned_process_computes_the_same(model: mobileone.Model) -> None:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(logits_elsewhere, (model,)), model(images()))


def test_features_default_to_all_levels_of_any_depth() -> None:
    def shapes(model: mobileone.Model) -> list[tuple[int, ...]]:
        return [level.shape[1:] for level in model.features(images())]

    assert shapes(mobileone_model()) == [(16, 24, 24), (16, 12, 12), (32, 6, 6)]
    assert shapes(mobilevit_model()) == [
        (8, 24, 24),
        (8, 24, 24),
        (12, 12, 12),
        (20, 6, 6),
        (16, 3, 3),
    ]


def test_a_model_that_gets_another_network_runs_that_one() -> None:
    model, other = (
        mobileone.create_model("custom", widths=[16], depths=[1], num_classes=7, seed=seed)
        for seed in (1, 2)
    )
    before = model(images())
    model.network = other.network
    np.testing.assert_array_equal(model(images()), other(images()))
    assert np.abs(model(images()) - before).max() > 0

"""Models travel: to other processes by pickle, and as independent copies."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import mobileone
import numpy as np
import pytest

SHAPE = (2, 3, 48, 48)


def images() -> np.ndarray:
    return np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)


@pytest.fixture(params=["train-time", "inference"])
def model(request: pytest.FixtureRequest) -> mobileone.Model:
    made = mobileone.create_model(
        "custom", widths=[16, 32], depths=[1, 2], se_depths=[0, 1], num_classes=7, seed=3
    )
    return made if request.param == "train-time" else mobileone.reparameterize(made)


def test_pickle_gives_the_same_logits_and_facts(model: mobileone.Model) -> None:
    back = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(back(images()), model(images()))
    for fact in ("name", "arch", "form", "config", "num_params", "data_config", "training"):
        assert getattr(back, fact) == getattr(model, fact)


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


def test_features_default_to_all_levels_of_any_depth(model: mobileone.Model) -> None:
    assert [f.shape[1:] for f in model.features(images())] == [
        (16, 24, 24),
        (16, 12, 12),
        (32, 6, 6),
    ]

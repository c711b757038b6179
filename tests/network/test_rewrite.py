"""reparameterize from Python: the right weights, from every source, without touching it."""

from __future__ import annotations

import copy

import mobileone
import numpy as np
import pytest
from cases import arrays, engine_model, fresh_model, images, torch_model
from torch_mobileone import VARIANTS


@pytest.mark.parametrize("name", VARIANTS)
def test_weights_are_the_exact_ones_rounded_once(name: str) -> None:
    """The reference finds the kernels by probing, in float64. Where its own error, about 2^-45
    relative, moves a value across a rounding boundary, neighbouring floats are accepted."""
    found = engine_model(name, "inference").state_dict()
    exact = torch_model(name, "inference").state_dict()
    assert set(found) == set(exact)
    differing = total = 0
    for key, value in exact.items():
        expected = value.numpy().astype(np.float32)
        spacing = np.spacing(np.abs(value.numpy()).max().astype(np.float32))
        step = np.maximum(np.spacing(np.abs(expected)), spacing * 2.0**-20)
        assert (np.abs(found[key].astype(np.float64) - expected) <= step).all(), key
        differing += int((found[key] != expected).sum())
        total += expected.size
    # 2^-45 against 2^-24: a few in a million cross. A second rounding would move every tenth.
    assert differing <= 1e-4 * total


def test_the_source_is_left_alone() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    before, expected = model.state_dict(), model(x)
    fused = mobileone.reparameterize(model)
    assert (model.form, fused.form) == ("train-time", "inference")
    assert (fused.name, fused.arch, fused.training) == (model.name, model.arch, False)
    assert set(model.state_dict()) == set(before)
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)
    np.testing.assert_array_equal(model(x), expected)


def test_every_source_gives_the_same_network() -> None:
    module = torch_model("mobileone_mu0")
    state, x = arrays(module), images(1, (64, 64))
    copied = {key: value.copy() for key, value in state.items()}
    expected = mobileone.reparameterize(fresh_model("mobileone_mu0"))(x)
    np.testing.assert_array_equal(mobileone.reparameterize(state)(x), expected)
    for key, value in state.items():
        np.testing.assert_array_equal(value, copied[key], err_msg=key)
    float32 = copy.deepcopy(module).float()
    np.testing.assert_array_equal(mobileone.reparameterize(float32.train())(x), expected)
    assert float32.training


def test_it_is_idempotent() -> None:
    once = engine_model("mobileone_s4", "inference")
    twice = mobileone.reparameterize(once)
    assert twice.form == "inference"
    assert list(twice.state_dict()) == list(once.state_dict())
    for key, value in once.state_dict().items():
        np.testing.assert_array_equal(twice.state_dict()[key], value, err_msg=key)


def test_a_model_in_training_mode_is_fused_with_its_running_statistics() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    expected = mobileone.reparameterize(model)(x)
    fused = mobileone.reparameterize(model.train())
    assert model.training
    assert not fused.training
    np.testing.assert_array_equal(fused(x), expected)


def test_it_uses_the_statistics_of_now() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    before = mobileone.reparameterize(model)(x)
    model.train()(x)
    assert not np.array_equal(mobileone.reparameterize(model)(x), before)


@pytest.mark.parametrize("nonsense", [{}, {"a": np.zeros(3)}, 3, None])
def test_not_a_network(nonsense: object) -> None:
    with pytest.raises((ValueError, TypeError)):
        mobileone.reparameterize(nonsense)

"""MobileViT in training mode: batch statistics, and dropout that is drawn from a seed."""

from __future__ import annotations

import copy
from dataclasses import replace

import mobileone
import numpy as np
import pytest
import torch
from cases import exact, images
from mobileone import _core
from mobileone.verification.rounding import rounding_bound
from mobilevit_cases import FLOAT64, engine_model
from numpy.typing import NDArray
from torch import Tensor, nn
from torch_mobilevit import SMALL, MobileViT, create

SIZE = (64, 75)
DROPPING = replace(SMALL, dropout=0.2, ffn_dropout=0.3, classifier_dropout=0.4)


def trained(module: MobileViT, x: NDArray) -> tuple[MobileViT, list[NDArray]]:
    """A copy that saw `x` in training mode; its features and logits."""
    module = copy.deepcopy(module).train()
    with torch.no_grad():
        maps = module.features(exact(x))
        return module, [level.numpy() for level in (*maps, module.head(maps[-1]))]


def nodes(model: mobileone.Model) -> list[str]:
    return [*model.graph.feature_names, model.graph.output_name]


class Mask(nn.Module):
    """What nn.Dropout does, with given elements."""

    def __init__(self, factors: Tensor) -> None:
        super().__init__()
        self.factors = factors

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factors.reshape(x.shape)


def masked(module: MobileViT, model: mobileone.Model, x: NDArray, seed: int) -> MobileViT:
    """The module with the elements dropped that the reference drops, found by their zeros."""
    result = copy.deepcopy(module)
    drops = [node for node in model.graph.nodes if node["kind"] == "Dropout"]
    wanted = [name for node in drops for name in (node["name"], node["inputs"][0])]
    found, _ = _core.reference_forward(model.network, x, wanted, training=True, dropout_seed=seed)
    for node, after, before in zip(drops, found[::2], found[1::2], strict=True):
        p = node["attributes"]["p"]
        assert result.get_submodule(node["name"]).p == p
        kept = after != 0
        np.testing.assert_allclose(after[kept], before[kept] / (1 - p), rtol=1e-12)
        # The share that is kept: a binomial's deviation, five times.
        assert abs(kept.mean() - (1 - p)) < 5 * np.sqrt(p * (1 - p) / kept.size)
        parent, _, name = node["name"].rpartition(".")
        mask = Mask(torch.from_numpy(kept / (1 - p)))
        setattr(result.get_submodule(parent), name, mask)
    assert len(drops) == 3 * 3 + 1
    return result


@pytest.mark.parametrize("batch", [1, 3])
def test_outputs_and_statistics_match_pytorch(batch: int) -> None:
    module, x = create(SMALL, seed=2), images(batch, SIZE)
    model = engine_model(module).train()
    bounds = rounding_bound(model, x)
    before = model.network.weights()
    after, expected = trained(module, x)
    logits = model(x)
    assert np.abs(logits - expected[-1]).max() <= bounds.logits
    state = model.network.weights()
    for key, value in after.state_dict().items():
        if key in bounds.statistics:
            assert np.abs(state[key] - value.numpy()).max() <= bounds.statistics[key], key
            assert not np.array_equal(state[key], before[key])
        elif key.endswith("num_batches_tracked"):
            assert state[key] == value.item() == before[key] + 1
        else:
            np.testing.assert_array_equal(state[key], before[key], err_msg=key)
    levels = engine_model(module).train().features(x)
    for a, b, bound in zip(levels, expected, bounds.levels, strict=False):
        assert np.abs(a - b).max() <= bound


def test_reference_matches_pytorch_in_float64() -> None:
    module, x = create(SMALL, seed=2), images(2, SIZE)
    model = engine_model(module)
    bounds = rounding_bound(model.train(), x)
    found, _ = _core.reference_forward(model.network, x, nodes(model), training=True)
    for a, b, bound in zip(
        found, trained(module, x)[1], [*bounds.levels, bounds.logits], strict=True
    ):
        assert np.abs(a - b).max() <= np.hypot(bound, bound) * FLOAT64


@pytest.mark.parametrize("seed", [0, 7])
def test_dropout_matches_pytorch_with_the_same_elements(seed: int) -> None:
    module, x = create(DROPPING, seed=2), images(2, SIZE)
    model = engine_model(module).train()
    model.dropout_seed = seed
    bounds = rounding_bound(model, x)
    _, expected = trained(masked(module, model, x, seed), x)
    logits = model(x)
    assert np.abs(logits - expected[-1]).max() <= bounds.logits
    assert model.dropout_seed == seed + 1
    model = engine_model(module).train()
    model.dropout_seed = seed
    for a, b, bound in zip(model.features(x), expected, bounds.levels, strict=False):
        assert np.abs(a - b).max() <= bound


def test_dropout_is_drawn_from_the_seed_anew_in_every_step() -> None:
    module, x = create(DROPPING), images(1, SIZE)
    first, second = engine_model(module).train(), engine_model(module).train()
    one, two = first(x), first(x)
    np.testing.assert_array_equal(second(x), one)
    np.testing.assert_array_equal(second(x), two)
    assert not np.array_equal(one, two)


def test_dropout_is_not_in_eval_mode_nor_in_the_inference_form() -> None:
    dropping, plain = create(DROPPING), create(SMALL)
    dropping.load_state_dict(plain.state_dict())
    x = images(2, SIZE)
    a, b = engine_model(dropping), engine_model(plain)
    np.testing.assert_array_equal(a(x), b(x))
    folded = mobileone.reparameterize(a)
    assert "Dropout" not in [node["kind"] for node in folded.graph.nodes]
    np.testing.assert_array_equal(folded.train()(x), mobileone.reparameterize(b)(x))
    assert folded.dropout_seed == 0

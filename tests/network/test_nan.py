"""NaN is passed on as PyTorch does, on every backend; a training step refuses it."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
import torch
from cases import FAMILIES, FORMS, Family, arrays, each_family, exact, images, torch_model
from mobileone._core import Network, reparameterize
from mobileone.network.compiled import CompiledModel
from mobilevit_cases import engine_model, outputs
from torch_mobilevit import SMALL, create

BACKENDS = ("auto", "onednn", "loops")


def broken_images(value: float = np.nan) -> np.ndarray:
    """Three images; one pixel of the second is broken."""
    x = images(3, (64, 64))
    x[1, 1, 20, 31] = value
    return x


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("form", FORMS)
@each_family
def test_logits_of_the_broken_image_alone_are_nan(family: Family, form: str, backend: str) -> None:
    model = family.make(form)
    logits = model.compile((3, 3, 64, 64), backend=backend)(broken_images())
    assert np.isnan(logits[1]).all()
    assert np.isfinite(logits[[0, 2]]).all()


@pytest.mark.parametrize("form", FORMS)
def test_feature_maps_are_nan_where_pytorchs_are(form: str) -> None:
    module = torch_model("mobileone_mu0", form)
    model = mobileone.load(arrays(module))
    x = broken_images()
    with torch.no_grad():
        expected = module.features(exact(x))
    for found, right in zip(model.features(x), expected, strict=True):
        np.testing.assert_array_equal(np.isnan(found), right.isnan().numpy())


def test_feature_maps_of_mobilevit_are_nan_where_pytorchs_are() -> None:
    module = create(SMALL, seed=1)
    model, x = engine_model(module), broken_images()
    for found, right in zip(model.features(x), outputs(module, x), strict=False):
        np.testing.assert_array_equal(np.isnan(found), np.isnan(right))


@pytest.mark.parametrize("backend", ["auto", "onednn"])
def test_a_weight_that_is_nan_shows(backend: str) -> None:
    model = FAMILIES[0].make()
    weights = {name: np.array(w) for name, w in model.network.weights().items()}
    weights["stage1.0.rbr_scale.bn.running_mean"][2] = np.nan  # a file with it is refused
    broken = Network(model.graph, weights)
    for network in (broken, reparameterize(broken)):
        plan = CompiledModel(network, (1, 3, 64, 64), 1, backend=backend)
        assert np.isnan(plan(images(1, (64, 64)))).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@each_family
def test_a_training_step_raises_before_statistics_are_written(family: Family, value: float) -> None:
    model = family.make().train()
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    seed = model.dropout_seed
    with pytest.raises(
        FloatingPointError, match=r"the batch's (mean|variance) in channel \d+ is .*finite"
    ):
        model(broken_images(value))
    assert before == {name: array.tobytes() for name, array in model.state_dict().items()}
    assert model.dropout_seed == seed
    model(images(3, (64, 64)))  # goes on
    after = model.state_dict()
    assert all(np.isfinite(array).all() for array in after.values())
    assert before != {name: array.tobytes() for name, array in after.items()}

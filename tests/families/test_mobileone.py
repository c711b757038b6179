"""Every variant in both forms against PyTorch in float64: outputs, names, counts."""

from __future__ import annotations

import copy
import re
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from cases import FORMS, arrays, engine_model, exact, images, torch_model
from torch import nn
from torch_mobileone import VARIANTS, create
from torch_rounding import rounding_bounds

# Sizes and the batches at each.
SIZES = [((224, 224), (1,)), ((97, 131), (2, 3))]


@pytest.fixture(scope="module", params=VARIANTS)
def name(request: pytest.FixtureRequest) -> str:
    """A variant: all tests of one run before those of the next, whose networks are large."""
    return str(request.param)


def test_numbers_of_numpy_make_the_same_network(tmp_path: Path) -> None:
    told = {"widths": [4, 8], "depths": [1, 2], "num_conv_branches": 1, "eps": 1e-3}
    numbers = {key: np.array(value)[()] for key, value in told.items()}
    model = mobileone.create_model("custom", num_classes=np.array([2, 4]).max() + 1, **numbers)
    assert (
        model.bundle.config == mobileone.create_model("custom", num_classes=5, **told).bundle.config
    )
    model.save(tmp_path / "net.safetensors")  # the configuration is written as JSON
    assert mobileone.load(tmp_path / "net.safetensors").num_classes == 5


@pytest.mark.parametrize("given", [3, None, b"mobileone_s0"])
def test_what_is_no_name(given: object) -> None:
    message = re.escape(f"name is {given!r}; expected one of mobileone")
    with pytest.raises(ValueError, match=message):
        mobileone.create_model(given)  # type: ignore[arg-type]


@pytest.mark.parametrize(("size", "batches"), SIZES, ids=["224x224", "97x131"])
def test_logits_and_features_match_pytorch(
    name: str, size: tuple[int, int], batches: tuple[int, ...]
) -> None:
    x = images(max(batches), size)
    module = torch_model(name)
    with torch.no_grad():
        maps = module.features(exact(x))
        expected = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    for form in FORMS:
        model = engine_model(name, form)
        fused = form == "inference"
        bounds = rounding_bounds(
            torch_model(name, form), exact(x[:1]), compared=len(x), rounded_weights=fused
        )
        for batch in batches:
            found = [*model.features(x[:batch]), model(x[:batch])]
            assert len(found) == len(expected) == 6
            for level, (a, b) in enumerate(zip(found, expected, strict=True)):
                assert a.dtype == np.float32
                assert a.shape == b[:batch].shape
                bound = [*bounds.features, bounds.logits][level]
                assert np.abs(a - b[:batch]).max() <= bound, f"{form}, batch {batch}, level {level}"


@pytest.mark.parametrize("form", FORMS)
def test_state_dict_is_the_authors(name: str, form: str) -> None:
    found, expected = engine_model(name, form).state_dict(), arrays(torch_model(name, form))
    assert {k: v.shape for k, v in found.items()} == {k: v.shape for k, v in expected.items()}
    assert {k: v.dtype for k, v in found.items()} == {k: v.dtype for k, v in expected.items()}
    if form == "train-time":
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)


def torch_macs(module: nn.Module, size: tuple[int, int]) -> int:
    """Multiply-accumulates of convolutions and linear layers of one image, counted by hooks."""
    total = 0

    def count(part: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal total
        total += out.numel() * part.weight[0].numel()  # type: ignore[union-attr]

    module = copy.deepcopy(module).float()
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            part.register_forward_hook(count)
    with torch.no_grad():
        module(torch.zeros(1, 3, *size))
    return total


@pytest.mark.parametrize("form", FORMS)
def test_counts_are_pytorchs(name: str, form: str) -> None:
    model, module = engine_model(name, form), torch_model(name, form)
    assert model.num_params == sum(parameter.numel() for parameter in module.parameters())
    assert model.input_size == (224, 224)
    assert model.macs == torch_macs(module, (224, 224))
    assert (model.name, model.arch, model.form) == (name, name, form)


def test_s0_fused_and_train_time_logits_agree_to_1e_5() -> None:
    x = images(2, (224, 224), seed=7)
    for seed in range(4):
        model = mobileone.load(arrays(create("mobileone_s0", seed)))
        logits, fused = model(x), mobileone.reparameterize(model)(x)
        assert np.abs(fused - logits).max() <= 1e-5 * np.abs(logits).max()
        assert np.ptp(logits, axis=1).min() > 0.1 * np.abs(logits).max()  # not a constant net


def test_the_bounds_catch_small_mistakes() -> None:
    """The tolerances would notice one wrong eps, one lost branch, one shifted statistic."""
    module, x = torch_model("mobileone_s0"), exact(images(1, (96, 96)))
    bounds = rounding_bounds(module, x)

    def worst(wrong: nn.Module) -> float:
        with torch.no_grad():
            found, expected = wrong.features(x), module.features(x)
        errors = [float((a - b).abs().max()) for a, b in zip(found, expected, strict=True)]
        return max(error / bound for error, bound in zip(errors, bounds.features, strict=True))

    float32 = copy.deepcopy(module).float()
    with torch.no_grad():
        rounded = [level.double() for level in float32.features(x.float())]
        for a, b, bound in zip(rounded, module.features(x), bounds.features, strict=True):
            assert float((a - b).abs().max()) <= bound

    eps, lost, shifted = (copy.deepcopy(module) for _ in range(3))
    eps.stage2[3].rbr_conv[1].bn.eps = 1e-3
    lost.stage3[6].rbr_skip = None
    shifted.stage1[2].rbr_scale.bn.running_mean[5] += 1e-3
    for wrong in (eps, lost, shifted):
        assert worst(wrong) > 1


def test_variants_are_listed() -> None:
    assert [name for name in mobileone.list_models() if name in VARIANTS] == list(VARIANTS)
    assert mobileone.list_models("*_s?") == [f"mobileone_s{i}" for i in range(5)]
    assert mobileone.list_models("resnet*") == []

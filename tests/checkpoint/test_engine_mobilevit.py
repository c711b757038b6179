"""Loading MobileViT into the engine: modules of timm and transformers, what weights do not show."""

from __future__ import annotations

import copy
from pathlib import Path

import mobileone
import numpy as np
import pytest
import safetensors.torch
import torch
import torch_mobilevit
from mobileone.checkpoint import CheckpointError
from mobileone.data.config import DataConfig
from mobileone.verification.rounding import rounding_bound

from . import timm_models
from .mobilevit_networks import CONFIGS
from .networks import tensor_shapes

# Odd, and not square: the maps of 13 x 9, 7 x 5 and 4 x 3 are resized to whole patches.
IMAGES = np.random.default_rng(0).standard_normal((1, 3, 97, 65), np.float32)
FORMS = pytest.mark.parametrize("form", ["train-time", "inference"])
# Of the largest logit: a bound below it tells this network from one with a weight out of place.
SHARP = 1e-3


@pytest.mark.parametrize("name", CONFIGS)
def test_our_names_are_the_default(name: str, tmp_path: Path) -> None:
    model = mobileone.create_model(name, seed=3)
    assert model.state_dict().keys() == model.state_dict("cvnets").keys()
    model.save(tmp_path / "x.safetensors")
    assert mobileone.load(tmp_path / "x.safetensors").report.layout == "cvnets"
    with pytest.raises(
        ValueError, match="'apple' is not known for mobilevit; expected one of cvnets"
    ):
        model.state_dict("apple")


def check_module(model: mobileone.Model, module: torch.nn.Module) -> None:
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(torch.from_numpy(IMAGES).double())
    exact = getattr(exact, "logits", exact).numpy()
    bound = rounding_bound(model, IMAGES, ()).logits
    assert np.abs(model(IMAGES) - exact).max() <= bound
    assert bound < SHARP * np.abs(exact).max()


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_modules_of_timm(name: str, tmp_path: Path) -> None:
    module = timm_models.seeded(name, seed=5)
    assert {k: tuple(v.shape) for k, v in module.state_dict().items()} == tensor_shapes(
        CONFIGS[name], "timm"
    )
    path, zipped = tmp_path / "x.safetensors", tmp_path / "x.pth"
    safetensors.torch.save_file(module.state_dict(), path)
    torch.save(module.state_dict(), zipped)
    loaded = [mobileone.load(source) for source in (module, path, zipped)]
    for model in loaded:
        assert (model.arch, model.form, model.report.layout) == (name, "train-time", "timm")
        assert model.data_config == DataConfig.from_timm(module.pretrained_cfg)
        np.testing.assert_array_equal(model(IMAGES), loaded[0](IMAGES))
    check_module(loaded[0], module)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_weights_go_into_timm(name: str) -> None:
    model = mobileone.create_model(name, seed=6)
    module = timm_models.import_timm().create_model(name).eval()
    state = model.state_dict("timm")
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    check_module(model, module)


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_modules_of_transformers(name: str) -> None:
    pytest.importorskip("transformers")
    from transformers import MobileViTConfig, MobileViTForImageClassification

    config = CONFIGS[name]
    necks = [config["stem_width"], *config["widths"], config["head_width"]]
    module = MobileViTForImageClassification(
        MobileViTConfig(
            hidden_sizes=config["transformer_widths"][2:],
            neck_hidden_sizes=necks,
            expand_ratio=config["expansion"],
            num_labels=1000,
        )
    ).eval()
    timm_models.trained_looking(module)
    shapes = {k: tuple(v.shape) for k, v in module.state_dict().items()}
    assert shapes == tensor_shapes(config, "transformers")
    model = mobileone.load(module)
    assert (model.arch, model.report.layout) == (name, "transformers")
    check_module(model, module)
    other = mobileone.create_model(name, seed=7)
    state = other.state_dict("transformers")
    module.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    check_module(other, module)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_module_says_what_its_weights_do_not() -> None:
    timm = timm_models.import_timm()
    from timm.models.mobilevit import MobileVitBlock

    module = timm.create_model("mobilevit_xxs").eval()
    for child in module.modules():
        if isinstance(child, MobileVitBlock):
            child.patch_size, child.patch_area = (4, 2), 8
        if hasattr(child, "num_heads"):
            child.num_heads, child.head_dim = 2, child.head_dim * 2
            child.scale = child.head_dim**-0.5
    model = mobileone.load(module)
    assert (model.config["heads"], model.config["patch"], model.arch) == (
        2,
        [4, 2],
        "mobilevit_custom",
    )
    check_module(model, module)
    weights = mobileone.load(module.state_dict(), config={"heads": 2, "patch": (4, 2)})
    np.testing.assert_array_equal(weights(IMAGES), model(IMAGES))
    module.stages[2][1].transformer[0].attn.num_heads = 8
    with pytest.raises(
        NotImplementedError, match=r"heads are \[2, 8\]; expected the same everywhere"
    ):
        mobileone.load(module)
    module.stages[2][1].transformer[0].attn.num_heads = 2
    module.stages[3][1].norm.eps = 1e-6
    with pytest.raises(NotImplementedError, match=r"stages\.3\.1\.norm: eps is 1e-06; expected"):
        mobileone.load(module)


@FORMS
def test_a_custom_network_comes_back_as_it_was(form: str, tmp_path: Path) -> None:
    config = torch_mobilevit.arguments(torch_mobilevit.SMALL)
    model = mobileone.create_model("mobilevit_custom", seed=1, **config)
    if form == "inference":
        model = mobileone.reparameterize(model)
    for layout in (None, "timm", "mmpretrain"):
        model.save(tmp_path / "x.safetensors", layout=layout)
        loaded = mobileone.load(tmp_path / "x.safetensors")
        assert {k: v for k, v in loaded.config.items() if k != "arch"} == model.config
        assert loaded.data_config == model.data_config
        np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES), strict=True)
    with pytest.raises(CheckpointError, match=r"transformers layout has no key for layer_"):
        model.state_dict("transformers")


def test_a_backbone_for_other_classes() -> None:
    model = mobileone.create_model("mobilevit_xxs", num_classes=13, seed=2)
    state = dict(model.state_dict("transformers"))
    with pytest.warns(UserWarning, match="started anew with random weights"):
        loaded = mobileone.load(state, num_classes=10, strict=False)
    assert loaded(IMAGES).shape == (1, 10)
    for ours, theirs in zip(loaded.features(IMAGES), model.features(IMAGES), strict=True):
        np.testing.assert_array_equal(ours, theirs)

"""Loading into the engine: every layout and form gives the same logits, as does timm's own code."""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import safetensors.torch
import torch
from mobileone.checkpoint import CheckpointError, load_state_dict
from mobileone.families.configuration import graph_parameter_shapes
from mobileone.families.variants import variants
from mobileone.verification.rounding import rounding_bound

from . import mobilevit_networks, timm_models
from .networks import CONFIGS, LAYOUT_WORDS, TINY, fused, tensor_shapes

# Odd, and not square: every stride-2 convolution rounds; a MobileViT's maps of 13 x 9, 7 x 5 and
# 4 x 3 are resized to whole patches.
IMAGES = np.random.default_rng(0).standard_normal((2, 3, 97, 65), np.float32)


@pytest.mark.parametrize("name", [*CONFIGS, "tiny"])
@pytest.mark.parametrize("form", [dict, fused])
def test_the_graph_has_the_tensors_of_the_description(name: str, form: type) -> None:
    config = form({**CONFIGS, "tiny": TINY}[name])
    assert graph_parameter_shapes(config) == tensor_shapes(config)


def test_the_variants_are_those_of_the_description() -> None:
    structure = {
        name: {key: config[key] for key in variants()[name]} for name, config in CONFIGS.items()
    }
    assert variants() == structure


# Variants, each with the layouts of its family.
LAYOUTS_OF = {
    **dict.fromkeys(
        ("mobileone_s0", "mobileone_s1", "mobileone_s4", "mobileone_mu0"), LAYOUT_WORDS
    ),
    **dict.fromkeys(mobilevit_networks.CONFIGS, mobilevit_networks.LAYOUT_WORDS),
}


@cache
def network(name: str) -> dict[str, Any]:
    """A variant in both forms with their logits."""
    train = mobileone.create_model(name, seed=3)
    deploy = mobileone.reparameterize(train)
    return {m.form: (m, m(IMAGES)) for m in (train, deploy)}


@pytest.mark.parametrize(
    ("name", "layout"), [(name, layout) for name, known in LAYOUTS_OF.items() for layout in known]
)
@pytest.mark.parametrize("form", ["train-time", "inference"])
def test_logits_are_the_same_in_every_layout(
    name: str, layout: str, form: str, tmp_path: Path
) -> None:
    model, logits = network(name)[form]
    state = model.state_dict(layout)
    config = {**CONFIGS, **mobilevit_networks.CONFIGS}[name]
    config = config if form == "train-time" else fused(config)
    assert {name: array.shape for name, array in state.items()} == tensor_shapes(config, layout)
    path = tmp_path / "x.pth"
    held = {name: torch.from_numpy(array.copy()) for name, array in state.items()}
    torch.save({"state_dict": held}, path)
    ours = tmp_path / "x.safetensors"
    model.save(ours, layout=layout)
    for source in (state, path, ours):
        loaded = mobileone.load(source)
        assert (loaded.arch, loaded.form, loaded.report.layout) == (name, form, layout)
        np.testing.assert_array_equal(loaded(IMAGES), logits, strict=True)


def test_a_custom_network_comes_back_as_it_was(tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_s0", num_conv_branches=2, num_classes=7)
    deploy = mobileone.reparameterize(model)
    for network in (model, deploy):
        network.save(tmp_path / "x.safetensors")
        loaded = load_state_dict(tmp_path / "x.safetensors")
        assert loaded.config["arch"] == "custom"
        assert loaded.config["num_conv_branches"] == 2
        assert json.loads(loaded.metadata["config"])["num_classes"] == 7


def test_overwriting_a_file_does_not_change_a_loaded_model(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    mobileone.create_model("mobileone_mu0", seed=1).save(path)
    model = mobileone.load(path)
    logits = model(IMAGES)
    size = path.stat().st_size
    path.write_bytes(b"")
    path.write_bytes(b"\xff" * size)
    np.testing.assert_array_equal(model(IMAGES), logits)


def test_a_backbone_for_other_classes() -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=13, seed=2)
    state = dict(model.state_dict("timm"))
    with pytest.warns(UserWarning, match="started anew with random weights"):
        loaded = mobileone.load(state, num_classes=10, strict=False)
    assert loaded(IMAGES).shape == (2, 10)
    for ours, theirs in zip(loaded.features(IMAGES), model.features(IMAGES), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    del state["head.fc.weight"]
    with pytest.warns(UserWarning, match="started anew with random weights"):
        loaded = mobileone.load(state, strict=False, num_classes=13)
    assert loaded(IMAGES).shape == (2, 13)


def test_errors_reach_the_user(tmp_path: Path) -> None:
    state = dict(mobileone.create_model("mobileone_s1").state_dict("timm"))
    with pytest.raises(CheckpointError, match=r"nearest is timm mobileone_s1"):
        mobileone.load(state, arch="mobileone_s0")
    assert mobileone.CheckpointError is CheckpointError
    del state["stem.conv_scale.bn.bias"]
    with pytest.raises(CheckpointError, match=r"stem\.conv_scale\.bn\.bias: missing"):
        mobileone.load(state)


@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s1", "mobileone_s4"])
@pytest.mark.parametrize("form", ["train-time", "inference"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_modules_of_timm(name: str, form: str, tmp_path: Path) -> None:
    module = timm_models.seeded(name, seed=5)
    if form == "inference":
        module = timm_models.deployed(module)
    path, zipped = tmp_path / "x.safetensors", tmp_path / "x.pth"
    safetensors.torch.save_file(module.state_dict(), path)
    torch.save(module.state_dict(), zipped)
    with torch.no_grad():
        exact = copy.deepcopy(module).double()(torch.from_numpy(IMAGES).double()).numpy()
    for source in (module, path, zipped):
        model = mobileone.load(source)
        assert (model.arch, model.form) == (name, form)
        bound = rounding_bound(model, IMAGES, ()).logits
        assert np.abs(model(IMAGES) - exact).max() <= bound
        # The bound is tight enough to tell this network from one with a single weight changed.
        assert bound < 1e-3 * np.abs(exact).max()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_fused_weights_go_back_into_timm(tmp_path: Path) -> None:
    module = timm_models.seeded("mobileone_s1", seed=6)
    fused_by_us = mobileone.reparameterize(module)
    fused_by_timm = timm_models.deployed(module)
    state = fused_by_us.state_dict("timm")
    fused_by_timm.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    with torch.no_grad():
        exact = fused_by_timm.double()(torch.from_numpy(IMAGES).double()).numpy()
    bound = rounding_bound(fused_by_us, IMAGES, ()).logits
    assert np.abs(fused_by_us(IMAGES) - exact).max() <= bound


@pytest.mark.parametrize("form", ["train-time", "inference"])
@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mobileone_mu0", {}),
        ("custom", {"widths": [16, 32], "depths": [1, 2], "se_depths": [0, 1]}),
        ("mobilevit_xxs", {}),
        ("mobilevit_custom", {"widths": [16, 24], "depths": [1, 1], "transformer_widths": [0, 16],
                              "ffn_widths": [0, 24], "transformer_depths": [0, 1], "heads": 2,
                              "patch": (4, 2), "dropout": 0.25}),
    ],
)  # fmt: skip
def test_a_loaded_model_says_how_to_make_its_like(
    name: str, changes: dict[str, object], form: str, tmp_path: Path
) -> None:
    """`create_model(arch, **config)` of what was loaded is the same architecture."""
    made = mobileone.create_model(name, num_classes=7, form=form, **changes)
    made.save(tmp_path / "x.safetensors")
    loaded = mobileone.load(tmp_path / "x.safetensors")
    assert loaded.arch == name
    again = mobileone.create_model(loaded.arch, **loaded.config)
    assert (again.form, again.config) == (form, loaded.config)
    assert again.graph.nodes == made.graph.nodes

"""MobileViT in both forms against PyTorch in float64, and against timm's module."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
import torch_mobilevit
from cases import FORMS, exact, images
from checkpoint.timm_models import import_timm
from mobileone import _core
from mobileone.families import graph_of
from mobileone.verification.rounding import rounding_bound
from mobilevit_cases import FLOAT64, assert_within, engine_model, outputs, torch_model
from torch_mobilevit import SMALL, VARIANTS, create, fused
from torch_mobilevit_rounding import mobilevit_bounds

# Sizes and the batches at each.
SIZES = [((256, 256), (1,)), ((224, 224), (1,)), ((97, 131), (1, 2))]
# Counted from the authors' code at 256 x 256: parameters, multiply-accumulates of convolutions and
# linear layers, and of attention's products.
COUNTS = {
    "mobilevit_xxs": (1_272_024, 329_179_648, 78_184_448),
    "mobilevit_xs": (2_317_848, 908_635_136, 117_276_672),
    "mobilevit_s": (5_578_632, 1_823_196_160, 177_635_328),
}
# Some of the 311 names and shapes in mobilevit_xxs.pt.
KEYS = {
    "conv_1.block.conv.weight": (16, 3, 3, 3),
    "conv_1.block.norm.running_var": (16,),
    "layer_1.0.block.exp_1x1.block.conv.weight": (32, 16, 1, 1),
    "layer_2.2.block.conv_3x3.block.conv.weight": (48, 1, 3, 3),
    "layer_3.0.block.red_1x1.block.norm.num_batches_tracked": (),
    "layer_3.1.local_rep.conv_3x3.block.norm.bias": (48,),
    "layer_3.1.local_rep.conv_1x1.block.conv.weight": (64, 48, 1, 1),
    "layer_3.1.global_rep.0.pre_norm_mha.0.weight": (64,),
    "layer_3.1.global_rep.1.pre_norm_mha.1.qkv_proj.weight": (192, 64),
    "layer_4.1.global_rep.3.pre_norm_mha.1.out_proj.bias": (80,),
    "layer_4.1.global_rep.3.pre_norm_ffn.0.bias": (80,),
    "layer_4.1.global_rep.3.pre_norm_ffn.1.weight": (160, 80),
    "layer_4.1.global_rep.3.pre_norm_ffn.4.weight": (80, 160),
    "layer_5.1.global_rep.3.weight": (96,),
    "layer_5.1.conv_proj.block.conv.weight": (80, 96, 1, 1),
    "layer_5.1.fusion.block.conv.weight": (80, 160, 3, 3),
    "conv_1x1_exp.block.conv.weight": (320, 80, 1, 1),
    "classifier.fc.weight": (1000, 320),
}


@pytest.mark.parametrize(("size", "batches"), SIZES, ids=["256x256", "224x224", "97x131"])
@pytest.mark.parametrize("name", VARIANTS)
def test_logits_and_features_match_pytorch(
    name: str, size: tuple[int, int], batches: tuple[int, ...]
) -> None:
    module, x = torch_model(name), images(max(batches), size)
    expected = outputs(module, x)
    model = engine_model(module)
    for form in FORMS:
        found_by = model if form == "train-time" else mobileone.reparameterize(model)
        truth = module if form == "train-time" else fused(module)
        bounds = mobilevit_bounds(
            truth, exact(x[:1]), compared=len(x), rounded_weights=form == "inference"
        )
        for batch in batches:
            found = [*found_by.features(x[:batch]), found_by(x[:batch])]
            assert all(level.dtype == np.float32 for level in found)
            levels = [*bounds.features, bounds.logits]
            assert_within(found, [level[:batch] for level in expected], levels)


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("mobilevit_xxs", (256, 256)),
        ("mobilevit_xxs", (224, 224)),
        ("mobilevit_xxs", (191, 257)),
        ("mobilevit_xs", (191, 257)),
        ("mobilevit_s", (224, 224)),
    ],
)
def test_logits_match_timm(name: str, size: tuple[int, int]) -> None:
    """timm's module lists the same tensors in the same order under other names."""
    module, x = torch_model(name), images(1, size, seed=2)
    other = import_timm().create_model(name).double().eval()
    state = other.state_dict()
    assert [v.shape for v in state.values()] == [v.shape for v in module.state_dict().values()]
    other.load_state_dict(dict(zip(state, module.state_dict().values(), strict=True)))
    with torch.no_grad():
        expected = other(exact(x)).numpy()
    bound = mobilevit_bounds(module, exact(x)).logits
    assert np.abs(expected - outputs(module, x)[-1]).max() <= bound * FLOAT64
    model = engine_model(module)
    assert np.abs(model(x) - expected).max() <= bound
    assert np.abs(mobileone.reparameterize(model)(x) - expected).max() <= 2 * bound


@pytest.mark.parametrize("name", VARIANTS)
def test_names_shapes_and_counts_are_the_authors(name: str) -> None:
    model = mobileone.create_model(name)
    expected = {k: tuple(v.shape) for k, v in torch_model(name).state_dict().items()}
    found = {key: shape for key, shape, _, _ in model.graph.parameters()}
    assert list(found.items()) == list(expected.items())
    assert len(found) == 311
    if name == "mobilevit_xxs":
        assert {key: found[key] for key in KEYS} == KEYS
    params, macs, attention = COUNTS[name]
    assert (model.num_params, model.macs) == (params, macs)
    assert model.input_size == (256, 256)
    assert model.graph.attention_macs((1, 3, 256, 256)) == attention
    # Layer 5 is resized from 7 x 7 to 8 x 8.
    assert model.graph.shapes((1, 3, 224, 224))["layer_5.1.unfold"][:2] == (4, 16)


@pytest.mark.parametrize("size", [(64, 80), (97, 75), (33, 32)])
def test_a_custom_network_matches_pytorch(size: tuple[int, int]) -> None:
    """Three heads, a patch of 4 x 2, one transformer, widths that no register holds evenly."""
    module, x = create(SMALL, seed=4), images(2, size)
    model, expected = engine_model(module), outputs(module, x)
    for found_by in (model, mobileone.reparameterize(model)):
        bounds = rounding_bound(found_by, x)
        levels = [*bounds.levels, bounds.logits]
        assert_within([*found_by.features(x), found_by(x)], expected, levels)


@pytest.mark.parametrize(("name", "size"), [("small", (97, 75)), ("mobilevit_xxs", (191, 257))])
def test_reference_equals_pytorch_in_float64(name: str, size: tuple[int, int]) -> None:
    module = create(SMALL, seed=1) if name == "small" else torch_model(name)
    model, x = engine_model(module), images(2 if name == "small" else 1, size)
    nodes = [*model.graph.feature_names, model.graph.output_name]
    found, statistics = _core.reference_forward(model.network, x, nodes)
    bounds = rounding_bound(model, x)
    levels = [np.hypot(b, b) * FLOAT64 for b in (*bounds.levels, bounds.logits)]
    assert statistics == {}
    assert_within(found, outputs(module, x), levels)


def test_batch_norms_fold_away() -> None:
    model = engine_model(create(SMALL))
    model.input_size = (64, 80)  # `verify` compares there
    folded = mobileone.reparameterize(model)
    assert folded.form == "inference"
    kinds = [node["kind"] for node in folded.graph.nodes]
    assert "BatchNorm" not in kinds
    assert kinds.count("LayerNorm") == 2 * (1 + 2) + 2
    made = graph_of(folded.config)
    assert made.nodes == folded.graph.nodes
    assert made.parameters() == folded.graph.parameters()
    weights = folded.network.weights()
    assert "layer_1.0.block.exp_1x1.block.conv.bias" in weights
    assert "layer_2.2.local_rep.conv_1x1.block.conv.bias" not in weights
    again = mobileone.reparameterize(folded).network.weights()
    for key, value in weights.items():
        np.testing.assert_array_equal(again[key], value, err_msg=key)
    assert mobileone.verify(model, folded)


def mistaken(model: mobileone.Model, mistake: str) -> mobileone.Model:
    """A network with the same weights, but for one thing that is easily done wrong."""
    config, weights = copy.deepcopy(model.config), dict(model.network.weights())
    if mistake == "heads":
        config["heads"] = 1
    elif mistake == "patch":
        config["patch"] = [2, 4]
    elif mistake == "queries and keys swapped":
        key = "layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.weight"
        q, k, v = np.split(weights[key], 3)
        weights[key] = np.concatenate([q, v, k])
    elif mistake == "no bias of the keys":
        key = "layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.bias"
        q, k, v = np.split(weights[key], 3)
        weights[key] = np.concatenate([q, 0 * k, v])
    elif mistake == "concatenation in the other order":
        key = "layer_3.1.fusion.block.conv.weight"
        weights[key] = np.roll(weights[key], weights[key].shape[0], axis=1)
    network = _core.Network(graph_of(config), weights)
    return mobileone.model.Model(network, config, arch=model.arch)


@pytest.mark.parametrize(
    ("mistake", "stage"),
    [
        ("heads", "stage 2"),
        ("patch", "stage 2"),
        ("queries and keys swapped", "stage 3"),
        ("concatenation in the other order", "stage 3"),
    ],
)
def test_verify_finds_mistakes_where_they_are_made(mistake: str, stage: str) -> None:
    model = engine_model(create(SMALL))
    model.input_size = (64, 80)
    # A bias of the keys adds the same number to all scores of a query: no mistake at all.
    assert mobileone.verify(model, mistaken(model, "no bias of the keys"))
    assert mobileone.verify(model, mistaken(model, mistake)).first_failure == stage


def test_variants_and_copies() -> None:
    assert mobileone.list_models("mobilevit*") == list(VARIANTS)
    model = mobileone.create_model("mobilevit_xxs", num_classes=5, seed=3)
    assert (model.arch, model.num_classes) == ("mobilevit_xxs", 5)
    again = mobileone.create_model(model.arch, **model.config, seed=3)
    assert again.config == model.config
    x = images(1, (64, 64))
    np.testing.assert_array_equal(model(x), again(x))
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(same(x), model(x))
    assert not np.array_equal(mobileone.create_model(model.arch, num_classes=5)(x), model(x))
    strides = [64 // level.shape[2] for level in model.features(x)]
    assert strides == [2, 2, 4, 8, 16, 32]


@pytest.mark.parametrize("form", FORMS)
def test_a_saved_network_comes_back_whole(form: str, tmp_path: Path) -> None:
    model = engine_model(create(SMALL, dropout=0.1, classifier_dropout=0.2))
    if form == "inference":
        model = mobileone.reparameterize(model)
    path, x = tmp_path / "small.safetensors", images(1, (64, 80))
    model.save(path)
    loaded = mobileone.load(path)
    assert (loaded.arch, loaded.form) == ("mobilevit_custom", form)
    assert {k: v for k, v in loaded.config.items() if k != "arch"} == model.config
    np.testing.assert_array_equal(loaded(x), model(x))


def test_initial_weights() -> None:
    weights = mobileone.create_model("mobilevit_xxs").network.weights()
    qkv = weights["layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.weight"]
    # 12288 draws: the deviation's own relative error is 1 / sqrt(2 * 12288) = 0.64 %.
    assert qkv.std() == pytest.approx(0.02, rel=5 * 0.0064)
    assert not weights["layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.bias"].any()
    assert (weights["layer_3.1.global_rep.2.weight"] == 1).all()
    fusion = weights["layer_3.1.fusion.block.conv.weight"]
    assert fusion.std() == pytest.approx((2 / (48 * 9)) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"heads": 5}, r"transformer_widths\[2\] is 144; expected a multiple of the 5 heads"),
        ({"patch": [2]}, r"patch is \[2\]"),
        ({"patch": [0, 2]}, r"patch\[0\] is 0"),
        ({"dropout": 1.0}, "dropout is 1; expected 0 <= p < 1"),
        ({"depths": [1, 3]}, "depths has 2 layers; expected 5"),
        ({"widths": 16}, "widths is 16; expected a list"),
        ({"ffn_widths": [8, 0, 288, 384, 480]}, r"ffn_widths\[0\] 8"),
        ({"transformer_depths": [0, 0, 0, 4, 3]}, r"transformer_depths\[2\] is 0"),
        ({"expansion": 0}, "expansion is 0"),
        ({"head_width": -1}, "head_width is -1"),
        ({"form": "folded"}, "form is 'folded'"),
        ({"num_conv_branches": 2}, "num_conv_branches"),
        ({"architecture": "mobileone"}, "architecture is 'mobileone'"),
    ],
)
def test_create_model_names_the_bad_argument(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mobileone.create_model("mobilevit_s", **changes)


def test_a_float64_module_runs_in_float32_too() -> None:
    """The reference itself: PyTorch in float32 is within the bounds that the engine is held to."""
    module, x = create(SMALL), images(2, (64, 64))
    bounds = mobilevit_bounds(module, exact(x))
    with torch.no_grad():
        single = copy.deepcopy(module).float()(torch.from_numpy(x)).numpy()
    assert 0 < np.abs(single - outputs(module, x)[-1]).max() <= bounds.logits
    assert torch_mobilevit.VARIANTS.keys() == COUNTS.keys()


@pytest.mark.parametrize(("scale", "offset"), [(1e-3, 0.0), (10.0, 50.0), (100.0, 0.0)])
def test_attention_from_even_to_one_hot(scale: float, offset: float) -> None:
    """Projections that are all alike, and scores of which the largest alone counts."""
    module, x = create(SMALL, seed=5), images(2, (64, 80))
    with torch.no_grad():
        for name, value in module.named_parameters():
            if "qkv_proj" in name:
                value.mul_(scale).add_(offset if name.endswith("bias") else 0.0)
    module.float().double()
    model, expected = engine_model(module), outputs(module, x)
    for engine in (model, mobileone.reparameterize(model)):
        bounds = rounding_bound(engine, x)
        found = [*engine.features(x), engine(x)]
        assert_within(found, expected, [*bounds.levels, bounds.logits])

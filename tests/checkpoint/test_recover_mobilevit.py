"""What a MobileViT's state dict holds, from its shapes; and what it says when it does not fit."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileone.checkpoint import CheckpointError, LoadedCheckpoint, load_state_dict
from mobileone.families import find_family
from mobileone.families.configuration import graph_parameter_shapes, recover_config
from mobileone.families.variants import variants

from . import mobilevit_networks
from .mobilevit_networks import CONFIGS, LAYOUT_WORDS, TINY
from .networks import fused, renamed, tensor_shapes, tensors, without_values

FORMS = pytest.mark.parametrize("form", [dict, fused])


MOBILEVIT = find_family("mobilevit")


def load(state: object, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(state, parameter_shapes=tensor_shapes, **options)


def test_the_variants_are_those_of_the_description() -> None:
    assert variants("mobilevit") == {
        name: {key: config[key] for key in variants("mobilevit")[name]}
        for name, config in CONFIGS.items()
    }


@pytest.mark.parametrize("name", [*CONFIGS, "tiny"])
@FORMS
def test_the_graph_has_the_tensors_of_the_description(name: str, form: type) -> None:
    config = form({**CONFIGS, "tiny": TINY}[name])
    assert list(graph_parameter_shapes(config).items()) == list(tensor_shapes(config).items())


@pytest.mark.parametrize("name", CONFIGS)
@FORMS
def test_variants(name: str, form: type) -> None:
    config = form(CONFIGS[name])
    assert recover_config(MOBILEVIT, tensor_shapes(config), "x") == config | {"arch": name}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Any network of this family; weights do not tell heads, patch and dropout."""
    layers = draw(st.integers(1, 6))
    width, depth = st.integers(1, 20), st.integers(1, 3)

    def per_layer(values: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(values, min_size=layers, max_size=layers))

    inner = [4 * d for d in per_layer(st.integers(0, 5))]
    return TINY | {
        "stem_width": draw(width),
        "widths": per_layer(width),
        "depths": per_layer(depth),
        "transformer_widths": inner,
        "ffn_widths": [f if d else 0 for f, d in zip(per_layer(width), inner, strict=True)],
        "transformer_depths": [n if d else 0 for n, d in zip(per_layer(depth), inner, strict=True)],
        "expansion": draw(st.sampled_from([0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.25, 6.0])),
        "head_width": draw(width),
        "num_classes": draw(width),
        "in_channels": draw(width),
        "form": draw(st.sampled_from(["train-time", "inference"])),
    }


@given(configurations(), st.sampled_from(["cvnets", "timm", "mmpretrain"]))
@settings(deadline=None, max_examples=100)
def test_any_configuration(config: dict[str, Any], layout: str) -> None:
    state = without_values(config, layout)
    loaded = load_state_dict(state)  # with the engine's own list of tensors
    found = loaded.config
    # Small widths are rounded to 8 hidden channels whatever the expansion is.
    assert tensor_shapes(found) == tensor_shapes(config)
    assert {k: v for k, v in found.items() if k not in ("expansion", "arch")} == {
        k: v for k, v in config.items() if k != "expansion"
    }
    assert loaded.layout == layout


@pytest.mark.parametrize("expansion", [1.0, 2.0, 2.5, 3.0, 4.0, 6.0, 3.3])
def test_expansions(expansion: float) -> None:
    config = CONFIGS["mobilevit_s"] | {"expansion": expansion}
    found = recover_config(MOBILEVIT, tensor_shapes(config), "x")
    assert found["expansion"] == expansion


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
def test_every_missing_tensor_is_noticed(layout: str) -> None:
    state = without_values(CONFIGS["mobilevit_xxs"], layout)
    noticed = 0
    for key in list(state)[::3]:
        less = {k: v for k, v in state.items() if k != key}
        if key.endswith("num_batches_tracked"):
            (filled,) = load(less).report.filled
            assert filled.endswith("num_batches_tracked")
            continue
        with pytest.raises(CheckpointError) as caught:
            load(less)
        assert f"1 missing: {key}: missing, expected" in str(caught.value)
        noticed += 1
    assert noticed > 60


def test_a_missing_key_projection_is_named_with_its_shape() -> None:
    state = without_values(CONFIGS["mobilevit_xs"], "transformers")
    key = "mobilevit.encoder.layer.3.transformer.layer.1.attention.attention.key.weight"
    del state[key]
    with pytest.raises(CheckpointError) as caught:
        load(state)
    message = f"transformers mobilevit_xs, train-time form, but 1 missing: {key}: missing, expected"
    assert f"{message} (120, 120)" in str(caught.value)


def test_slices_of_different_sizes() -> None:
    state = without_values(CONFIGS["mobilevit_xs"], "transformers")
    key = "mobilevit.encoder.layer.2.transformer.layer.0.attention.attention.{}.bias"
    state[key.format("query")] = np.zeros(97, np.float32)
    state[key.format("value")] = np.zeros(95, np.float32)
    with pytest.raises(CheckpointError, match=r"2 of another shape: .*query\.bias: found \(97,\)"):
        load(state)


def test_misshapen_and_unexpected_tensors() -> None:
    state = without_values(CONFIGS["mobilevit_s"], "timm")
    bad = state | {"stages.3.1.transformer.2.mlp.fc1.weight": np.zeros((192, 384), np.float32)}
    expected = r"fc1\.weight: found \(192, 384\), expected \(384, 192\)"
    with pytest.raises(
        CheckpointError, match=f"timm mobilevit_s, .* 1 of another shape: .*{expected}"
    ):
        load(bad)
    extra = {"aux.weight": np.zeros((3, 4), np.float32)}
    with pytest.raises(CheckpointError, match=r"aux\.weight: found \(3, 4\), expected no such"):
        load(state | extra)
    assert load(state | extra, strict=False).report.ignored == ("aux.weight",)
    # Of no block of this network: the 1x1 convolution has no batch norm.
    extra = {"stages.2.1.conv_1x1.bias": np.zeros(144, np.float32)}
    with pytest.raises(CheckpointError, match="1 unexpected: stages"):
        load(state | extra)


def test_another_number_of_classes() -> None:
    state = without_values(CONFIGS["mobilevit_xxs"] | {"num_classes": 13}, "transformers")
    with pytest.raises(CheckpointError, match=r"classifier\.weight: found \(13, 320\), expected"):
        load(state, num_classes=10)
    with pytest.warns(UserWarning, match="started anew"):
        loaded = load(state, num_classes=10, strict=False)
    assert loaded.report.missing == ("classifier.fc.weight", "classifier.fc.bias")
    assert loaded.report.ignored == ("classifier.weight", "classifier.bias")
    assert loaded.state["classifier.fc.weight"].shape == (10, 320)
    body = {k: v for k, v in state.items() if not k.startswith("classifier")}
    bare = {k.removeprefix("mobilevit."): v for k, v in body.items()}
    for backbone in (body, bare):
        with pytest.warns(UserWarning, match="started anew"):
            assert load(backbone, num_classes=5, strict=False).config["num_classes"] == 5


def test_another_variant_or_architecture_than_asked_for() -> None:
    state = without_values(CONFIGS["mobilevit_xs"])
    assert load(state, arch="mobilevit_xs").config["arch"] == "mobilevit_xs"
    with pytest.raises(
        CheckpointError, match=r"nearest is cvnets mobilevit_xs, .* of another shape"
    ):
        load(state, arch="mobilevit_s")
    with pytest.raises(
        CheckpointError, match=r"is cvnets mobilevit_xs, train-time form; expected mobileone_s0"
    ):
        load(state, arch="mobileone_s0")
    with pytest.raises(ValueError, match=r"'mobilevit_m'; .*mobileone_mu2, mobilevit_xxs"):
        load(state, arch="mobilevit_m")


def test_half_fused() -> None:
    train, deploy = tensors(tensor_shapes(TINY)), tensors(tensor_shapes(fused(TINY)))
    state = {k: v for k, v in train.items() if not k.startswith("layer_3.1.fusion.")}
    state |= {k: v for k, v in deploy.items() if k.startswith("layer_3.1.fusion.")}
    with pytest.raises(
        CheckpointError,
        match=r"half fused \(1 convolutions with bias, .*; fused: layer_3\.1\.fusion\)",
    ):
        load(state)


@pytest.mark.parametrize(
    ("base", "intruder"), [("cvnets", "timm"), ("timm", "mmpretrain"), ("transformers", "cvnets")]
)
def test_mixed_dialects_are_refused(base: str, intruder: str) -> None:
    state = tensors(tensor_shapes(TINY))
    own, other = (renamed(state, TINY, name) for name in (base, intruder))
    part = {k: state[k] for k in state if k.startswith("layer_2.1.block.red_1x1")}
    gone, come = (renamed(state, TINY, name) for name in (base, intruder))
    place = [i for i, k in enumerate(state) if k in part]
    # Slices come later in the order of keys, so that these have the same place everywhere.
    mixed = {k: v for i, (k, v) in enumerate(gone.items()) if i not in place}
    mixed |= {k: v for i, (k, v) in enumerate(come.items()) if i in place}
    assert mixed.keys() - own.keys()
    assert mixed.keys() - other.keys()
    with pytest.raises(
        CheckpointError, match=rf"mixes layouts \(\d+ keys of {base}, 6 of {intruder}\)"
    ):
        load(mixed)


def test_mixed_architectures_are_refused() -> None:
    state = without_values(TINY, "timm")
    state["stages.0.0.conv_kxk.0.conv.weight"] = np.zeros((8, 1, 3, 3), np.float32)
    with pytest.raises(CheckpointError, match="1 of timm's mobileone"):
        load(state)


@pytest.mark.parametrize("part", ["conv_1.", "conv_1x1_exp."])
def test_a_missing_convolution(part: str) -> None:
    state = {k: v for k, v in without_values(TINY).items() if not k.startswith(part)}
    with pytest.raises(CheckpointError, match=rf"5 missing: {part}block\.conv\.weight: missing"):
        load(state)


@pytest.mark.parametrize("stage", ["layer_2."])
def test_a_missing_layer(stage: str) -> None:
    state = {k: v for k, v in without_values(TINY).items() if not k.startswith(stage)}
    with pytest.raises(
        CheckpointError, match=rf"nothing of {stage[:-1]}.*expected a whole MobileViT"
    ):
        load(state)


def test_a_stray_key_makes_no_large_network() -> None:
    state = without_values(TINY, "timm")
    stray = "stages.{}.1.transformer.{}.norm1.bias"
    for key in (stray.format(9999, 0), stray.format(2, 9999), stray.format(2, 200)):
        with pytest.raises(CheckpointError, match=r"at most 16 of 256|its names speak of at least"):
            load(state | {key: np.zeros(12, np.float32)})


LOOK_ALIKES = [
    ("stages.2.1.transformer.0.attn.qkv_proj.weight", "a MobileViTv2 of timm"),
    ("layer_3.1.global_rep.0.pre_norm_attn.0.weight", "a MobileViTv2 of CVNets"),
    ("mobilevitv2.encoder.layer.2.transformer.layer.0.attention.qkv_proj.convolution.weight",
     "a MobileViTv2 of transformers"),
]  # fmt: skip


@pytest.mark.parametrize(("key", "name"), LOOK_ALIKES)
def test_look_alikes_are_named(key: str, name: str) -> None:
    state = {k: np.zeros((4, 4, 3, 3), np.float32) for k in (key, "conv_1.block.conv.weight")}
    with pytest.raises(CheckpointError, match=rf"{name}, which is not .* MobileViT: .*separable"):
        load_state_dict(state)


def test_the_published_names_are_all_there() -> None:
    # Counted in the authors' and timm's own modules, and in the description of the others.
    numbers = {"cvnets": 311, "timm": 311, "mmpretrain": 311, "transformers": 347}
    for config in CONFIGS.values():
        for layout, number in numbers.items():
            assert len(mobilevit_networks.tensor_shapes(config, layout)) == number


NUMBERS = (0, 1, 2, 3, 5, 12, 255, 256, 9999, 2**31, 2**39)


@given(st.data(), st.sampled_from(sorted(LAYOUT_WORDS)), st.sampled_from([dict, fused]))
@settings(deadline=None, max_examples=150)
def test_names_and_shapes_gone_wrong(data: st.DataObject, layout: str, form: type) -> None:
    """Whatever names and shapes there are, the answer is a network or a CheckpointError."""
    state = without_values(form(TINY), layout)
    shapes = st.lists(st.sampled_from(NUMBERS), max_size=5).map(tuple)
    for _ in range(data.draw(st.integers(1, 4))):
        key = data.draw(st.sampled_from(list(state)))
        kind = data.draw(st.sampled_from(["gone", "shape", "number", "copy"]))
        array = state[key] if kind == "copy" else state.pop(key)
        if kind == "shape":
            shape = data.draw(shapes)
            # Without memory behind them, and without what NumPy refuses.
            if math.prod(max(n, 1) for n in shape) < 2**60:
                state[key] = np.broadcast_to(np.float32(0), shape)
        elif kind in ("number", "copy"):
            digits = [i for i, character in enumerate(key) if character.isdigit()]
            if digits:
                at = data.draw(st.sampled_from(digits))
                state[key[:at] + str(data.draw(st.sampled_from(NUMBERS))) + key[at + 1 :]] = array
    try:
        loaded = load_state_dict(state)
    except CheckpointError:
        return
    for name, shape in tensor_shapes(loaded.config).items():
        assert loaded.state[name].shape == shape


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_precisions(tmp_path: Path, layout: str, dtype: str) -> None:
    kind = getattr(torch, dtype)
    state = renamed(tensors(tensor_shapes(TINY)), TINY, layout)
    held = {k: torch.from_numpy(np.array(v)) for k, v in state.items()}
    held = {k: v.to(kind) if v.is_floating_point() else v for k, v in held.items()}
    torch.save({"state_dict": held}, tmp_path / "x.pth")
    loaded = load(tmp_path / "x.pth")
    assert loaded.report.dtypes[dtype] == sum(v.is_floating_point() for v in held.values())
    rounded = {k: v.float() if v.is_floating_point() else v for k, v in held.items()}
    expected = load({k: v.numpy() for k, v in rounded.items()}).state
    for name, array in expected.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)

"""Layout tables: every variant in every dialect, there and back, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from mobileone.checkpoint import (
    LAYOUTS,
    CheckpointError,
    find_layout,
    from_canonical,
    load_state_dict,
    recognise,
    to_canonical,
)
from mobileone.checkpoint.layouts.table import Layout

from .networks import CONFIGS, LAYOUT_WORDS, TINY, fused, renamed, tensor_shapes, tensors

CASES = [
    pytest.param(layout, form(config), id=f"{layout}-{name}-{form.__name__}")
    for layout in LAYOUT_WORDS
    for name, config in {**CONFIGS, "tiny": TINY}.items()
    for form in (dict, fused)
]


def test_every_layout_has_a_case() -> None:
    assert {layout.name for layout in LAYOUTS} == LAYOUT_WORDS.keys()


@pytest.mark.parametrize(("name", "config"), CASES)
def test_names_in_both_directions(name: str, config: dict) -> None:
    canonical, own = tensor_shapes(config), tensor_shapes(config, name)
    found = recognise(list(own))
    assert found.layout is find_layout(name)
    assert found.unknown == ()
    pairs = list(zip(own, canonical, strict=True))
    assert list(found.names.items()) == pairs
    state = {key: object() for key in own}
    there = to_canonical(found.layout, state)
    assert list(there) == list(canonical)
    assert from_canonical(found.layout, there) == state


@pytest.mark.parametrize("name", LAYOUT_WORDS)
@pytest.mark.parametrize("form", [dict, fused])
def test_loading_is_bit_exact(name: str, form: type) -> None:
    config = form(TINY)
    state = tensors(tensor_shapes(config))
    loaded = load_state_dict(renamed(state, config, name), parameter_shapes=tensor_shapes)
    assert loaded.layout == loaded.report.layout == name
    assert list(loaded.state) == list(state)
    for key, array in state.items():
        np.testing.assert_array_equal(loaded.state[key], array, strict=True)


@pytest.mark.parametrize("name", LAYOUT_WORDS)
def test_order_of_keys_does_not_matter(name: str) -> None:
    state = tensors(tensor_shapes(TINY))
    shuffled = list(renamed(state, TINY, name).items())
    np.random.default_rng(0).shuffle(shuffled)
    loaded = load_state_dict(dict(shuffled), parameter_shapes=tensor_shapes)
    assert list(loaded.state) == list(state)
    for key, array in state.items():
        np.testing.assert_array_equal(loaded.state[key], array, strict=True)


def test_mmpretrain_backbone_without_prefix() -> None:
    state = renamed(tensors(tensor_shapes(TINY)), TINY, "mmpretrain")
    bare = {key.removeprefix("backbone."): array for key, array in state.items()}
    loaded = load_state_dict(bare, parameter_shapes=tensor_shapes)
    assert loaded.layout == "mmpretrain"
    # Both at once would be two tensors for one place.
    with pytest.raises(CheckpointError, match=r"backbone\.stage0.* are one tensor"):
        load_state_dict(state | bare, parameter_shapes=tensor_shapes)


@pytest.mark.parametrize(
    ("base", "intruder"), [("apple", "timm"), ("timm", "mmpretrain"), ("cvnets", "jahongir7174")]
)
def test_mixed_dialects_are_refused(base: str, intruder: str) -> None:
    state = tensors(tensor_shapes(TINY))
    own, other = (list(renamed(state, TINY, name).items()) for name in (base, intruder))
    some = [i for i, name in enumerate(state) if name.startswith("stage2.3.rbr_conv.0")]
    mixed = dict(own) | {other[i][0]: other[i][1] for i in some}
    for i in some:
        del mixed[own[i][0]]
    message = rf"mixes layouts \(\d+ keys of {base}, 6 of {intruder}\); 5 missing and 6 unexp"
    with pytest.raises(CheckpointError, match=message):
        load_state_dict(mixed, parameter_shapes=tensor_shapes)


@pytest.mark.parametrize(
    ("keys", "name"),
    [
        (["stem.conv_kxk.conv.weight", "stages.0.0.conv_1x1.conv.weight"], "a RepVGG of timm"),
        (["stage0.rbr_dense.conv.weight", "stage1.0.rbr_identity.weight"], "a RepVGG,"),
        (["block1.block_3x3.rbr_dense.0.conv.weight"], "tersekmatija/mobileone"),
        (["stage1.0.dw_3x3_0.conv.conv.weight", "fc1.0.weight"], "shoutOutYangJie/MobileOne"),
        (["_features._stage1.0.weight"], "federicopozzi33/MobileOne-PyTorch"),
    ],
)
def test_look_alikes_are_named(keys: list[str], name: str) -> None:
    state = {key: np.zeros((4, 4, 3, 3), np.float32) for key in [*keys, "linear.weight"]}
    with pytest.raises(CheckpointError, match=f"{name}.*not the same network"):
        load_state_dict(state)


def test_a_fused_repvgg_of_timm_does_not_pass() -> None:
    # It has the very keys of a fused MobileOne; only the kernels tell: all dense 3x3.
    state = {
        key: np.zeros((8, 8, 3, 3) if len(shape) == 4 else shape, np.float32)
        for key, shape in tensor_shapes(fused(TINY), "timm").items()
        if ".attn." not in key
    }
    with pytest.raises(CheckpointError, match=r"found \(8, 8, 3, 3\), expected \(8, 1, 3, 3\)"):
        load_state_dict(state, parameter_shapes=tensor_shapes)


def test_unknown_keys() -> None:
    state = {f"features.{i}.weight": np.zeros(3, np.float32) for i in range(9)}
    with pytest.raises(
        CheckpointError, match=r"no MobileOne or MobileViT in any .* \(apple, timm,"
    ):
        load_state_dict(state)
    with pytest.raises(ValueError, match=r"'keras' is not known.*expected one of apple, timm"):
        find_layout("keras")


@pytest.mark.parametrize(
    "key",
    [
        "stage0.0.rbr_skip.weight",  # the stem has no blocks
        "stage1.00.rbr_skip.weight",  # would be a second stage1.0
        "stage01.0.rbr_skip.weight",
        "stage1.٣.rbr_skip.weight",  # digits, but not ASCII ones
        "stage1.0.rbr_skip.gamma",
        "stage1.99999.rbr_skip.weight",
        "stage1.-1.rbr_skip.weight",
        "stage1.0.rbr_skip.weight.",
        "stage#.#.rbr_skip.weight",
        "",
    ],
)
def test_keys_that_only_look_right(key: str) -> None:
    assert find_layout("apple").canonical(key) is None


def test_numbers_are_shifted() -> None:
    cvnets, timm = find_layout("cvnets"), find_layout("timm")
    assert cvnets.canonical("layer_1.0.rbr_skip.weight") is None
    assert cvnets.canonical("layer_2.0.rbr_skip.weight") == "stage1.0.rbr_skip.weight"
    assert timm.own("stage1.10.rbr_skip.bias") == "stages.0.10.identity.bias"
    assert timm.own("stage1.10.rbr_skip.sigma") is None


def test_a_table_for_another_architecture() -> None:
    layout = Layout(
        "mobilevit",
        "cvnets",
        {
            "stages.{s}.1.transformer.{t}.attn.qkv.{wb}": (
                "layer_{s+1}.1.global_rep.{t}.pre_norm_mha.1.qkv_proj.{wb}"
            )
        },
    )
    key = "layer_4.1.global_rep.2.pre_norm_mha.1.qkv_proj.bias"
    assert layout.canonical(key) == "stages.3.1.transformer.2.attn.qkv.bias"
    assert layout.own("stages.3.1.transformer.2.attn.qkv.bias") == key
    assert layout.canonical(key.replace("mha.1", "mha.0")) is None


def test_renaming_errors() -> None:
    apple = find_layout("apple")
    with pytest.raises(CheckpointError, match="not keys of the apple layout: head"):
        to_canonical(apple, {"linear.weight": 1, "head": 2})
    with pytest.raises(CheckpointError, match="apple layout has no key for head"):
        from_canonical(apple, {"head": 2})

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
from mobileone.families.naming.table import Layout

from . import mobilevit_networks as mobilevit
from .networks import (
    CONFIGS,
    LAYOUT_WORDS,
    TINY,
    TINY_CASES,
    TINY_IDS,
    fused,
    renamed,
    tensor_shapes,
    tensors,
)

CASES = [
    pytest.param(layout, form(config), id=f"{layout}-{name}-{form.__name__}")
    for layouts, configs in (
        (LAYOUT_WORDS, {**CONFIGS, "tiny": TINY}),
        (mobilevit.LAYOUT_WORDS, {**mobilevit.CONFIGS, "tiny-mobilevit": mobilevit.TINY}),
    )
    for layout in layouts
    for name, config in configs.items()
    for form in (dict, fused)
]


def architecture(config: dict) -> str:
    return config.get("architecture", "mobileone")


def test_every_layout_has_a_case() -> None:
    cases = [(architecture(config), layout) for layout, config in TINY_CASES]
    assert [(layout.architecture, layout.name) for layout in LAYOUTS] == cases


@pytest.mark.parametrize(("name", "config"), CASES)
def test_names_in_both_directions(name: str, config: dict) -> None:
    canonical, own = tensor_shapes(config), tensor_shapes(config, name)
    layout = find_layout(name, architecture(config))
    found = recognise(list(own))
    assert found.layout is layout
    assert found.unknown == ()
    slices = [part for whole in canonical for part in layout.slices(whole)]
    assert list(found.names.items()) == list(zip(own, slices, strict=True))
    state = {key: object() for key in own}
    there = to_canonical(layout, state)
    assert list(there) == slices
    rows = {whole: np.arange(6) for whole in canonical}
    back = from_canonical(layout, rows)
    assert list(back) == list(own)
    assert sum(len(part) for part in back.values()) == sum(map(len, rows.values()))


@pytest.mark.parametrize(("name", "config"), TINY_CASES, ids=TINY_IDS)
@pytest.mark.parametrize("form", [dict, fused])
def test_loading_is_bit_exact(name: str, config: dict, form: type) -> None:
    config = form(config)
    state = tensors(tensor_shapes(config))
    loaded = load_state_dict(renamed(state, config, name), parameter_shapes=tensor_shapes)
    assert loaded.layout == loaded.report.layout == name
    assert list(loaded.state) == list(state)
    for key, array in state.items():
        np.testing.assert_array_equal(loaded.state[key], array, strict=True)


@pytest.mark.parametrize(("name", "config"), TINY_CASES, ids=TINY_IDS)
def test_order_of_keys_does_not_matter(name: str, config: dict) -> None:
    state = tensors(tensor_shapes(config))
    shuffled = list(renamed(state, config, name).items())
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


def test_a_number_that_the_layout_leaves_out() -> None:
    layout = Layout("net", "x", {"blocks.{b}.{n}.w": "b{b}.n{n}", "blocks.{b}.{n}.norm": "b{b}"})
    names = layout.canonical_names(["b1", "b0.n0", "b0", "b0.n2", "b1.n0"])
    assert names == {
        "b1": "blocks.1.1.norm",
        "b0.n0": "blocks.0.0.w",
        "b0": "blocks.0.3.norm",
        "b0.n2": "blocks.0.2.w",
        "b1.n0": "blocks.1.0.w",
    }
    assert layout.own("blocks.7.5.norm") == "b7"
    assert layout.canonical("b7") == "blocks.7.0.norm"
    # Two canonical tensors would have one key.
    with pytest.raises(
        CheckpointError, match=r"two tensors are both b0: blocks\.0\.2\.norm is one"
    ):
        from_canonical(layout, {"blocks.0.1.norm": 1, "blocks.0.2.norm": 2})


def test_slices_of_a_tensor() -> None:
    layout = Layout("net", "x", {"{n}.qk.{wb}[0]": "q{n}.{wb}", "{n}.qk.{wb}[1]": "k{n}.{wb}"})
    assert layout.slices("3.qk.bias") == ["3.qk.bias[0]", "3.qk.bias[1]"]
    assert layout.own("3.qk.bias") is None
    assert layout.slices("3.v.bias") == []
    named = from_canonical(layout, {"3.qk.bias": np.arange(6)})
    assert {key: list(part) for key, part in named.items()} == {
        "q3.bias": [0, 1, 2],
        "k3.bias": [3, 4, 5],
    }
    assert list(to_canonical(layout, named)) == ["3.qk.bias[0]", "3.qk.bias[1]"]


def test_renaming_errors() -> None:
    apple = find_layout("apple")
    with pytest.raises(CheckpointError, match="not keys of the apple layout: head"):
        to_canonical(apple, {"linear.weight": 1, "head": 2})
    with pytest.raises(CheckpointError, match="apple layout has no key for head"):
        from_canonical(apple, {"head": 2})

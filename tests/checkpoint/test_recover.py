"""What a state dict holds, from its shapes; and what it says when it does not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileone.checkpoint import CheckpointError, LoadedCheckpoint, load_state_dict
from mobileone.families import find_family
from mobileone.families.configuration import recover_config

from .networks import CONFIGS, LAYOUT_WORDS, TINY, fused, renamed, tensor_shapes, tensors

MOBILEONE = find_family("mobileone")


def load(state: object, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(state, parameter_shapes=tensor_shapes, **options)


def without_values(config: dict, layout: str = "apple") -> dict[str, np.ndarray]:
    """Zeros of the right shapes that take no memory."""
    return {
        name: np.broadcast_to(np.float32(0), shape)
        if not name.endswith("tracked")
        else np.array(1, np.int64)
        for name, shape in tensor_shapes(config, layout).items()
    }


CUSTOM = {
    "wide": TINY,
    "two stages": TINY | {"widths": [8, 10], "depths": [1, 2], "se_widths": {}},
    "five stages": TINY | {"widths": [8] * 5, "depths": [1] * 5, "se_widths": {"stage5.0": 1}},
    "one branch": TINY | {"num_conv_branches": 1},
    "deep": TINY | {"depths": [1, 12, 2]},
    "wide stem": TINY | {"stem_width": 33},
}


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("form", [dict, fused])
def test_variants(name: str, form: type) -> None:
    config = form(CONFIGS[name])
    assert recover_config(MOBILEONE, tensor_shapes(config), "x") == config | {"arch": name}


@pytest.mark.parametrize("name", CUSTOM)
def test_custom_configurations(name: str) -> None:
    config = CUSTOM[name]
    found = recover_config(MOBILEONE, tensor_shapes(config), "x")
    assert found == config | {"arch": "custom"}
    # How many branches were merged into a fused network is not to be seen.
    found = recover_config(MOBILEONE, tensor_shapes(fused(config)), "x")
    assert found == fused(config) | {"arch": "custom", "num_conv_branches": 1}


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    """Any network of this family."""
    width = st.integers(1, 9)
    depths = draw(st.lists(st.integers(1, 3), min_size=1, max_size=5))
    blocks = [f"stage{s}.{j}" for s, depth in enumerate(depths, 1) for j in range(2 * depth)]
    return {
        "stem_width": draw(width),
        "widths": draw(st.lists(width, min_size=len(depths), max_size=len(depths))),
        "depths": depths,
        "num_conv_branches": draw(st.integers(1, 3)),
        "se_widths": draw(st.dictionaries(st.sampled_from(blocks), width)),
        "num_classes": draw(width),
        "in_channels": draw(width),
        "form": draw(st.sampled_from(["train-time", "inference"])),
    }


@given(configurations(), st.sampled_from(sorted(LAYOUT_WORDS)))
@settings(deadline=None, max_examples=100)
def test_any_configuration_in_any_layout(config: dict[str, Any], layout: str) -> None:
    state = without_values(config, layout)
    # Also with the engine's own list of tensors.
    loaded = load_state_dict(state)
    if config["form"] == "inference":
        config |= {"num_conv_branches": 1}
    assert loaded.config == config | {"arch": "custom"}
    assert loaded.layout == layout


def test_classes_and_channels() -> None:
    config = CONFIGS["mobileone_s1"] | {"num_classes": 13, "in_channels": 1}
    found = load(without_values(config)).config
    assert found["arch"] == "mobileone_s1"
    assert (found["num_classes"], found["in_channels"]) == (13, 1)


def test_half_fused() -> None:
    train, deploy = tensors(tensor_shapes(TINY)), tensors(tensor_shapes(fused(TINY)))
    state = {k: v for k, v in train.items() if not k.startswith("stage2.1.")}
    state |= {k: v for k, v in deploy.items() if k.startswith("stage2.1.")}
    with pytest.raises(CheckpointError, match=r"half fused \(1 blocks .*; fused: stage2\.1\); 10"):
        load(state)
    # Both forms of one block.
    with pytest.raises(CheckpointError, match=r"half fused.*not fused: stage2\.1"):
        load(deploy | {k: v for k, v in train.items() if k.startswith("stage2.1.rbr_")})


@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4", "mobileone_mu1"])
def test_every_missing_tensor_is_noticed(name: str) -> None:
    state = without_values(CONFIGS[name])
    noticed = 0
    for key in list(state)[:: max(1, len(state) // 60)]:
        less = {k: v for k, v in state.items() if k != key}
        if key.endswith("num_batches_tracked"):
            assert load(less).report.filled == (key,)
            continue
        with pytest.raises(CheckpointError) as caught:
            load(less)
        message = str(caught.value)
        # Without its squeeze a block looks as if it had no SE, then the rest of it is unexpected.
        assert key in message or key.replace("reduce", "expand") in message
        noticed += 1
    assert noticed > 40


def test_missing_tensors_are_listed_with_shapes() -> None:
    state = without_values(CONFIGS["mobileone_s0"], "timm")
    gone = [k for k in state if k.startswith("stages.2.3.") and "tracked" not in k]
    for key in gone:
        del state[key]
    with pytest.raises(CheckpointError) as caught:
        load(state)
    message = str(caught.value)
    assert "timm mobileone_s0, train-time form" in message
    assert f"{len(gone)} missing" in message
    assert "stages.2.3.identity.weight: missing, expected (256,)" in message
    assert message.count("missing, expected") == 5
    assert f"and {len(gone) - 5} more" in message


def test_misshapen_tensors_are_listed_with_shapes() -> None:
    state = without_values(CONFIGS["mobileone_s2"])
    state["stage3.4.rbr_scale.conv.weight"] = np.zeros((640, 640, 1, 1), np.float32)
    with pytest.raises(CheckpointError) as caught:
        load(state)
    message = str(caught.value)
    assert "mobileone_s2" in message
    expected = "stage3.4.rbr_scale.conv.weight: found (640, 640, 1, 1), expected (640, 1, 1, 1)"
    assert expected in message


def test_unexpected_tensors() -> None:
    state = without_values(CONFIGS["mobileone_s1"])
    extra = {"aux.weight": np.zeros((3, 4), np.float32)}
    with pytest.raises(CheckpointError, match=r"aux\.weight: found \(3, 4\), expected no such"):
        load(state | extra)
    loaded = load(state | extra, strict=False)
    assert loaded.report.ignored == ("aux.weight",)
    assert "aux.weight" not in loaded.state
    # A name of the layout that this network does not have: stage1.1 widens, so no skip branch.
    extra = {"stage1.1.rbr_skip.weight": np.zeros(96, np.float32)}
    with pytest.raises(CheckpointError, match=r"1 unexpected: stage1\.1\.rbr_skip\.weight"):
        load(state | extra)
    assert load(state | extra, strict=False).report.ignored == ("stage1.1.rbr_skip.weight",)


def test_another_variant_than_asked_for() -> None:
    state = without_values(CONFIGS["mobileone_s1"])
    with pytest.raises(CheckpointError) as caught:
        load(state, arch="mobileone_s0")
    message = str(caught.value)
    assert "nearest is apple mobileone_s1, train-time form" in message
    assert "stage0.rbr_scale.conv.weight: found (64, 3, 1, 1), expected (48, 3, 1, 1)" in message
    assert load(state, arch="mobileone_s1").config["arch"] == "mobileone_s1"
    with pytest.raises(ValueError, match="'mobileone_s9'; expected one of mobileone_s0"):
        load(state, arch="mobileone_s9")


def test_another_number_of_classes_than_asked_for() -> None:
    state = without_values(CONFIGS["mobileone_mu0"] | {"num_classes": 13})
    with pytest.raises(
        CheckpointError, match=r"linear\.weight: found \(13, 384\), expected \(10, 384\)"
    ):
        load(state, num_classes=10)
    assert load(state, num_classes=13).config["num_classes"] == 13
    # To be fine-tuned: the classifier starts anew.
    with pytest.warns(UserWarning, match=r"linear\.bias started anew with random weights"):
        loaded = load(state, num_classes=10, strict=False)
    assert loaded.config["num_classes"] == 10
    assert loaded.report.missing == ("linear.weight", "linear.bias")
    assert loaded.report.ignored == ("linear.weight", "linear.bias")
    assert loaded.state["linear.weight"].shape == (10, 384)
    assert 0.005 < loaded.state["linear.weight"].std() < 0.02
    assert not loaded.state["linear.bias"].any()
    with pytest.raises(ValueError, match="num_classes=-1; expected at least 0"):
        load(state, num_classes=-1)


def test_a_backbone_without_classifier() -> None:
    state = without_values(CONFIGS["mobileone_s3"], "mmpretrain")
    state = {key: array for key, array in state.items() if "head" not in key}
    with pytest.raises(
        CheckpointError, match=r"2 missing: head\.fc\.weight: missing, expected \(1000, 2048\)"
    ):
        load(state)
    assert load(state, num_classes=0).config["num_classes"] == 0
    assert load(state, strict=False).config["num_classes"] == 0
    with pytest.warns(UserWarning, match="started anew"):
        loaded = load(state, strict=False, num_classes=5)
    assert loaded.report.missing == ("linear.weight", "linear.bias")
    assert loaded.config["num_classes"] == 5
    assert loaded.state["linear.weight"].shape == (5, 2048)
    assert "started anew: linear.weight" in str(loaded.report)


@pytest.mark.parametrize("stage", ["stage0", "stage2"])
def test_a_missing_stage(stage: str) -> None:
    state = {k: v for k, v in without_values(TINY).items() if not k.startswith(f"{stage}.")}
    with pytest.raises(CheckpointError, match=f"no convolution of {stage}"):
        load(state)


def test_one_wrong_tensor_does_not_mislead() -> None:
    # The first pointwise convolution of a stage alone is of another width.
    state = without_values(CONFIGS["mobileone_s1"])
    state["stage3.1.rbr_conv.0.conv.weight"] = np.zeros((111, 192, 1, 1), np.float32)
    with pytest.raises(CheckpointError, match=r"mobileone_s1, .* 1 of another shape: stage3\.1\."):
        load(state)


@pytest.mark.parametrize("dtype", ["float16", "float64", "float32"])
def test_precisions(dtype: str) -> None:
    state = tensors(tensor_shapes(TINY))
    cast = {k: v if v.dtype == np.int64 else v.astype(dtype) for k, v in state.items()}
    loaded = load(cast)
    for name, array in cast.items():
        np.testing.assert_array_equal(loaded.state[name], array.astype(loaded.state[name].dtype))
        assert loaded.state[name].dtype == (np.int64 if array.dtype == np.int64 else np.float32)
    assert loaded.report.dtypes[dtype] == sum(a.dtype != np.int64 for a in state.values())


BAD_VALUES = {
    "nan": (np.array([0, np.nan, 1], np.float32), r"nan at \[1\], 1 of 3 values are NaN"),
    "infinite": (np.array([0, 1, -np.inf], np.float32), r"-inf at \[2\]"),
    "too large": (np.array([0, 1e300, 1]), r"inf at \[1\]"),
    "complex": (np.ones(3, np.complex64), "dtype complex64, .*expected a floating-point weight"),
    "integer": (np.ones(3, np.int32), "dtype int32, .*expected a floating-point weight"),
    "boolean": (np.ones(3, bool), "dtype bool"),
    "text": (np.array(["a", "b", "c"]), "dtype str"),
    "object": (np.array([1.0, 2.0, None]), "dtype object"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_bad_values(case: str) -> None:
    state = tensors(tensor_shapes(TINY))
    array, message = BAD_VALUES[case]
    state["stage2.4.se.reduce.bias"] = array
    with pytest.raises(CheckpointError, match=rf"stage2\.4\.se\.reduce\.bias: {message}"):
        load(state)


def test_large_values_are_no_infinities() -> None:
    # Their sum overflows float32, they do not.
    state = tensors(tensor_shapes(TINY))
    state["linear.weight"][:] = 3e38
    np.testing.assert_array_equal(load(state).state["linear.weight"], state["linear.weight"])


def test_negative_variance() -> None:
    state = tensors(tensor_shapes(TINY))
    state["stage1.2.rbr_skip.running_var"][5] = -0.25
    with pytest.raises(CheckpointError, match=r"rbr_skip\.running_var: -0.25 at channel 5"):
        load(state)
    state["stage1.2.rbr_skip.running_var"][5] = 0.0
    load(state)


@pytest.mark.parametrize("value", [np.array(-1), np.array(np.nan), np.array(1e30), np.array(1j)])
def test_bad_batch_counts(value: np.ndarray) -> None:
    state = tensors(tensor_shapes(TINY))
    state["stage0.rbr_scale.bn.num_batches_tracked"] = value
    with pytest.raises(CheckpointError, match=r"stage0\.rbr_scale\.bn\.num_batches_tracked: "):
        load(state)


def test_averaged_batch_counts() -> None:
    state = tensors(tensor_shapes(TINY))
    state["stage0.rbr_scale.bn.num_batches_tracked"] = np.array(41.75, np.float32)
    count = load(state).state["stage0.rbr_scale.bn.num_batches_tracked"]
    np.testing.assert_array_equal(count, np.array(41, np.int64), strict=True)


def test_zero_size_tensors() -> None:
    state = tensors(tensor_shapes(TINY))
    state = {k: v[:0] if k.startswith("stage3.") and v.ndim else v for k, v in state.items()}
    with pytest.raises(CheckpointError):
        load(state)


def test_empty_sources() -> None:
    for source in ({}, {"epoch": 3}, {"state_dict": {}}):
        with pytest.raises(CheckpointError, match="expected"):
            load(source)


def test_keys_of_the_file_are_named() -> None:
    state = renamed(tensors(tensor_shapes(TINY)), TINY, "cvnets")
    state["layer_3.4.rbr_skip.running_mean"][0] = np.nan
    with pytest.raises(CheckpointError, match=r"layer_3\.4\.rbr_skip\.running_mean: nan"):
        load(state)

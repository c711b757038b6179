"""What a MobileViT's weights do not show, heads and patch, and who says it then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mobileone.checkpoint import (
    CheckpointError,
    LoadedCheckpoint,
    load_state_dict,
    save_safetensors,
)

from .mobilevit_networks import CONFIGS, LAYOUT_WORDS, TINY
from .networks import fused, renamed, tensor_shapes, tensors, without_values

FORMS = pytest.mark.parametrize("form", [dict, fused])


def load(state: object, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(state, parameter_shapes=tensor_shapes, **options)


def test_what_the_user_says_of_the_network() -> None:
    said = {"heads": 2, "patch": (4, 2), "dropout": 0.1}
    config = load(tensors(tensor_shapes(TINY)), config=said).config
    assert (config["heads"], config["patch"], config["dropout"]) == (2, [4, 2], 0.1)
    published = without_values(CONFIGS["mobilevit_s"])
    assert load(published).config["arch"] == "mobilevit_s"
    assert load(published, config={"dropout": 0.1}).config["arch"] == "mobilevit_s"
    assert load(published, config={"heads": 8}).config["arch"] == "custom"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"widths": [1]},
            r"'widths', which is read off the weights; what .* expansion, heads, pat",
        ),
        ({"heads": 0}, r"config\['heads'\] is 0; expected an integer from 1"),
        ({"heads": True}, r"config\['heads'\] is True; expected an integer"),
        ({"patch": 2}, "is 2; expected two integers from 1 to 1024: height and width"),
        ({"patch": [2, 0]}, "expected two integers"),
        ({"dropout": 1.0}, "expected a number from 0, below 1"),
        ({"expansion": -1}, "expected a positive number"),
    ],
)
def test_what_the_user_cannot_say(said: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load(tensors(tensor_shapes(TINY)), config=said)


def test_heads_that_do_not_divide_the_width() -> None:
    with pytest.raises(
        CheckpointError, match=r"its shapes make no network: .*multiple of the 5 heads"
    ):
        load_state_dict(tensors(tensor_shapes(TINY)), config={"heads": 5})


def test_what_is_to_be_said_of_a_train_time_mobileone() -> None:
    from .networks import TINY as mobileone

    with pytest.raises(
        ValueError, match=r"'heads', which is read .* mobileone in train-time form: activation, eps"
    ):
        load(tensors(tensor_shapes(mobileone)), config={"heads": 2})


UNSEEN = {
    "heads": 2, "patch": [4, 2], "dropout": 0.1, "ffn_dropout": 0.2, "classifier_dropout": 0.3,
}  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
@FORMS
def test_our_files_say_what_weights_do_not(tmp_path: Path, layout: str, form: type) -> None:
    config = form(TINY | UNSEEN)
    state = tensors(tensor_shapes(config))
    path = tmp_path / "x.safetensors"
    metadata = {"format": "mobileone", "config": json.dumps(config)}
    save_safetensors(path, renamed(state, config, layout), metadata)
    loaded = load(path)
    assert loaded.config == config | {"arch": "custom"}
    assert load(path, config={"heads": 1}).config["heads"] == 1
    for name, array in state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ({"architecture": "mobileone"}, "architecture 'mobileone', found mobilevit"),
        ({"architecture": None}, "architecture None, found mobilevit"),
        ({"ffn_widths": [1]}, r"ffn_widths \[1\], found \[0, 0, 20, 7, 24\]"),
        ({"heads": "4"}, "heads '4' in its metadata; expected an integer"),
        ({"heads": 10**30}, "in its metadata; expected an integer from 1 to 1024"),
        ({"patch": [2, 2, 2]}, r"patch \[2, 2, 2\] in its metadata; expected two integers"),
        ({"patch": [2, 10**9]}, "expected two integers"),
        ({"dropout": float("nan")}, "dropout nan in its metadata; expected a number"),
        ({"expansion": float("inf")}, "expansion inf in its metadata; expected a positive"),
        ({"expansion": 4.0}, "missing|of another shape"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, stored: dict, message: str) -> None:
    path = tmp_path / "x.safetensors"
    metadata = {"format": "mobileone", "config": json.dumps(TINY | stored)}
    save_safetensors(path, tensors(tensor_shapes(TINY)), metadata)
    with pytest.raises(CheckpointError, match=message):
        load(path)

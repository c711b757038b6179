"""RGB and BGR: what travels with weights, and what a file in another layout holds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import mobileone
import numpy as np
import pytest
import safetensors.numpy
from mobileone.checkpoint import CheckpointError, find_layout, save_safetensors
from mobileone.families.data_config import default_data_config
from mobileone.model import Model
from mobileone.verification.rounding import rounding_bound

from .mobilevit_networks import LAYOUT_WORDS, TINY
from .networks import renamed, tensor_shapes, tensors

CONFIG = TINY | {"in_channels": 3}
STATE = tensors(tensor_shapes(CONFIG))
STEM = {layout: next(iter(renamed(STATE, CONFIG, layout))) for layout in LAYOUT_WORDS}
PICTURE = np.random.default_rng(1).integers(0, 256, (70, 90, 3), np.uint8)
PAIRS = [(a, b) for a in LAYOUT_WORDS for b in LAYOUT_WORDS]
ORDERS = {"cvnets": "BGR", "timm": "RGB", "mmpretrain": "BGR", "transformers": "BGR"}


def loaded(layout: str) -> Model:
    return mobileone.load(renamed(STATE, CONFIG, layout))


def probabilities(model: Model) -> np.ndarray:
    """Of all classes, from a picture that comes as RGB, in the order of the classes."""
    return np.array([p for _, p in sorted(model.predict(PICTURE, topk=7))])


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
def test_what_a_layout_feeds(layout: str) -> None:
    model = loaded(layout)
    assert model.data_config.channel_order == ORDERS[layout]
    assert find_layout(layout, "mobilevit").channel_order == ORDERS[layout]
    assert default_data_config("mobilevit_s", layout).channel_order == ORDERS[layout]
    normalised = PICTURE.transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    seen = normalised if ORDERS[layout] == "RGB" else normalised[:, ::-1]
    np.testing.assert_array_equal(model(PICTURE[None]), model(seen))


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_file_has_the_order_of_its_layout(source: str, target: str, tmp_path: Path) -> None:
    model = loaded(source)
    path = tmp_path / "x.safetensors"
    model.save(path, layout=target)
    expected = STATE["conv_1.block.conv.weight"]
    if ORDERS[source] != ORDERS[target]:
        expected = expected[:, ::-1]
    arrays = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(arrays[STEM[target]], expected)
    # We read our own file as the network that was saved, bit for bit.
    back = mobileone.load(path)
    assert back.report.layout == target
    assert back.data_config == model.data_config
    np.testing.assert_array_equal(probabilities(back), probabilities(model))
    # Others, who know nothing of our metadata, feed what programs of the layout feed.
    foreign = mobileone.load(arrays)
    assert foreign.data_config.channel_order == ORDERS[target]
    foreign.data_config = replace(model.data_config, channel_order=ORDERS[target])
    np.testing.assert_allclose(probabilities(foreign), probabilities(model), rtol=1e-4)


def test_without_a_layout_nothing_is_reversed(tmp_path: Path) -> None:
    model = loaded("timm")
    model.save(tmp_path / "x.safetensors")
    arrays = safetensors.numpy.load_file(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(arrays[STEM["cvnets"]], STATE[STEM["cvnets"]])
    assert mobileone.load(tmp_path / "x.safetensors").data_config.channel_order == "RGB"
    for layout in LAYOUT_WORDS:
        np.testing.assert_array_equal(model.state_dict(layout)[STEM[layout]], STATE[STEM["cvnets"]])


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_an_order_of_the_users_own(order: str, tmp_path: Path) -> None:
    # Trained with CVNets on RGB images.
    model = loaded("cvnets")
    model.data_config = replace(model.data_config, channel_order="RGB")
    stem = STATE[STEM["cvnets"]]
    expected = stem if order == "RGB" else stem[:, ::-1]
    state = model.state_dict("timm", channel_order=order)
    np.testing.assert_array_equal(state[STEM["timm"]], expected)
    path = tmp_path / "x.safetensors"
    model.save(path, layout="cvnets", channel_order=order)
    np.testing.assert_array_equal(safetensors.numpy.load_file(path)[STEM["cvnets"]], expected)
    back = mobileone.load(path)
    assert back.data_config.channel_order == "RGB"
    np.testing.assert_array_equal(back.network.weights()[STEM["cvnets"]], stem)


@pytest.mark.parametrize("form", ["train-time", "inference"])
def test_mobileone_too(form: str, tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_mu0", seed=4)
    if form == "inference":
        model = mobileone.reparameterize(model)
    path = tmp_path / "x.safetensors"
    model.save(path, channel_order="BGR")
    np.testing.assert_array_equal(mobileone.load(path)(PICTURE[None]), model(PICTURE[None]))
    # Its layouts say nothing of channels: files are as the model is.
    model.data_config = replace(model.data_config, channel_order="BGR")
    model.save(path, layout="timm")
    back = mobileone.load(path)
    for name, array in model.network.weights().items():
        np.testing.assert_array_equal(back.network.weights()[name], array)
    # The reversed network computes the same from reversed images, but for the order of the sums.
    state = model.state_dict(channel_order="RGB")
    images = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
    bound = rounding_bound(model, images, ()).logits
    other = mobileone.load(state)(np.ascontiguousarray(images[:, ::-1]))
    assert np.abs(other - model(images)).max() <= 2 * bound


def test_bad_orders(tmp_path: Path) -> None:
    model = loaded("timm")
    with pytest.raises(ValueError, match="channel_order is 'GBR'; expected one of"):
        model.state_dict(channel_order="GBR")
    grey = mobileone.load(tensors(tensor_shapes(TINY)))
    with pytest.raises(ValueError, match="'RGB'; expected None for 4 channels"):
        grey.save(tmp_path / "x.safetensors", channel_order="RGB")
    grey.save(tmp_path / "x.safetensors", layout="timm")
    assert mobileone.load(tmp_path / "x.safetensors").config["in_channels"] == 4
    path = tmp_path / "y.safetensors"
    metadata = {"format": "mobileone", "config": json.dumps(CONFIG), "channel_order": "GBR"}
    save_safetensors(path, STATE, metadata)
    with pytest.raises(CheckpointError, match=r"y\.safetensors: channel_order GBR in its metadata"):
        mobileone.load(path)

"""config.json beside weights, and what is assumed where nothing says what weights do not show."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import FAMILIES, SMALL_MOBILEVIT, Family, each_family, images
from mobileone.checkpoint.described import parse_description
from numpy.typing import NDArray

TRANSFORMERS = {
    "model_type": "mobilevit",
    "num_attention_heads": 4,
    "patch_size": 2,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "image_size": 128,
    "id2label": {str(i): f"label {i}" for i in range(7)},
}
# transformers' names need layers that are arranged as the published ones.
ARRANGED = {
    "widths": [8, 12, 16, 20, 24],
    "depths": [1, 3, 1, 1, 1],
    "transformer_widths": [0, 0, 8, 12, 16],
    "ffn_widths": [0, 0, 16, 24, 32],
    "transformer_depths": [0, 0, 2, 4, 3],
    "heads": 4,
}


def saved(folder: Path, model: mobileone.Model, layout: str, config: object) -> Path:
    """A folder as hubs have them."""
    path = folder / "model.safetensors"
    weights = {k: np.array(v) for k, v in model.state_dict(layout).items()}
    mobileone.checkpoint.save_safetensors(path, weights)
    (folder / "config.json").write_text(json.dumps(config))
    return path


def vit(**config: Any) -> mobileone.Model:
    return mobileone.create_model("mobilevit_custom", **SMALL_MOBILEVIT | ARRANGED | config)


def one(**config: Any) -> mobileone.Model:
    return FAMILIES[0].make(**config)


def logits(model: mobileone.Model) -> NDArray[np.float32]:
    return model(images(1, (64, 96)))


def test_what_transformers_says(tmp_path: Path) -> None:
    model = vit(activation="gelu", layer_norm_eps=1e-6)
    loaded = mobileone.load(saved(tmp_path, model, "transformers", TRANSFORMERS))
    assert loaded.config == model.config
    np.testing.assert_array_equal(logits(loaded), logits(model))
    assert loaded.class_names == tuple(f"label {i}" for i in range(7))
    assert loaded.input_size == (128, 128)
    assert loaded.report.told["activation"] == "config.json"
    assert "heads" not in loaded.report.assumed
    assert "eps" in loaded.report.assumed


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_output_stride_of_transformers(tmp_path: Path, stride: int) -> None:
    said = TRANSFORMERS | {"output_stride": stride}
    loaded = mobileone.load(saved(tmp_path, vit(), "transformers", said))
    assert loaded.features(images(1, (64, 64)))[-1].shape[2:] == (64 // stride, 64 // stride)
    dilations = {8: {"layer_5.0": 2}}.get(stride)
    assert loaded.config.get("dilations") == dilations


def test_what_timm_says(tmp_path: Path) -> None:
    said = {
        "architecture": "mobileone_s0",
        "label_names": ["cat", "dog", "fox", "elk", "owl", "bee", "ant"],
        "model_args": {"act_layer": "silu", "output_stride": 2},
        "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.25] * 3, "input_size": [3, 96, 96]},
    }
    loaded = mobileone.load(saved(tmp_path, one(), "timm", said))
    assert loaded.config["activation"] == "silu"
    assert loaded.config["strides"] == [1, 1]
    assert "dilations" not in loaded.config
    assert (loaded.data_config.mean, loaded.input_size) == ((0.5, 0.5, 0.5), (96, 96))
    assert loaded.class_names is not None
    assert loaded.class_names[:2] == ("cat", "dog")


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"num_attention_heads": "8"}, "heads '8'; expected an integer"),
        ({"patch_size": [2]}, r"patch \[2\]; expected two integers"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps -1.0; expected a number above 0"),
        ({"output_stride": 16.0}, "output_stride 16.0; expected an integer"),
        ({"output_stride": 7}, r"output_stride is 7; expected one of \[2, 4, 8, 16, 32\]"),
        ({"id2label": {"1": "cat"}}, r"id2label is \[None\]; expected a string for each class"),
        ({"id2label": 3}, "id2label is 3; expected names by number"),
    ],
)
def test_values_that_are_none(tmp_path: Path, said: dict, message: str) -> None:
    path = saved(tmp_path, vit(), "transformers", TRANSFORMERS | said)
    with pytest.raises(ValueError, match=message):
        mobileone.load(path)


@pytest.mark.parametrize(
    ("layout", "said", "message"),
    [
        ("transformers", TRANSFORMERS | {"hidden_act": "mish"}, "hidden_act is 'mish'; expected"),
        ("timm", {"model_args": {"act_layer": "elu"}}, "act_layer is 'elu'; expected one of"),
        ("timm", {"global_pool": "max"}, "global_pool is 'max'; expected 'avg'"),
        ("timm", {"model_args": {"global_pool": "avgmax"}}, "global_pool is 'avgmax'"),
    ],
)
def test_functions_that_are_not_supported(
    tmp_path: Path, layout: str, said: dict, message: str
) -> None:
    path = saved(tmp_path, vit(), layout, said)
    with pytest.raises(NotImplementedError, match=message):
        mobileone.load(path)


def test_the_user_has_the_last_word(tmp_path: Path) -> None:
    path = saved(tmp_path, vit(), "transformers", TRANSFORMERS)
    loaded = mobileone.load(path, config={"activation": "silu", "heads": 2})
    assert loaded.config["heads"] == 2
    assert "activation" not in loaded.config
    assert loaded.report.told["heads"] == "config"


def test_beside_a_file_of_another_name_it_may_be_anything(tmp_path: Path) -> None:
    path = saved(tmp_path, vit(), "transformers", TRANSFORMERS)
    loaded = mobileone.load(path.rename(tmp_path / "mine.safetensors"))
    assert "activation" not in loaded.config
    assert loaded.report.assumed["activation"] == "silu"


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000])
def test_what_is_no_description_is_noted(tmp_path: Path, text: str) -> None:
    path = saved(tmp_path, one(), "timm", {})
    (tmp_path / "config.json").write_text(text)
    assert "config.json: " in str(mobileone.load(path).report)


@each_family
def test_eps_is_taken_and_otherwise_said_to_be_assumed(family: Family) -> None:
    model = family.make(eps=1e-3)
    assert model.config["eps"] == 1e-3
    heads = {k: model.config[k] for k in ("heads",) if k in model.config}  # not the usual four
    loaded = mobileone.load(dict(model.state_dict()), config={"eps": 1e-3} | heads)
    np.testing.assert_array_equal(logits(loaded), logits(model))
    assumed = mobileone.load(dict(model.state_dict()), config=heads).report
    assert assumed.assumed["eps"] == 1e-5
    assert "assumed, as weights do not show it" in repr(assumed)
    assert "eps 1e-05" in repr(assumed)


@each_family
def test_our_own_files_say_it_all(tmp_path: Path, family: Family) -> None:
    model = family.make(
        eps=1e-3,
        activation="hard_swish",
        stem_stride=1,
        output_stride=2 if family.name == "mobileone" else 4,
    )
    model.save(tmp_path / "own.safetensors")
    loaded = mobileone.load(tmp_path / "own.safetensors")
    assert loaded.config == model.config
    assert loaded.report.assumed == {}
    fused = mobileone.reparameterize(model)
    assert mobileone.verify(model, fused, input_size=64, samples=2)


def test_mutated_descriptions() -> None:
    """Any bytes: a description, or a CheckpointError."""
    text = json.dumps(TRANSFORMERS | {"pretrained_cfg": {"mean": [0.5]}, "label_names": ["a"]})
    rng = np.random.default_rng(0)
    family = mobileone.families.find_family("mobilevit")
    for _ in range(2000):
        data = bytearray(text.encode())
        for at in rng.integers(0, len(data), rng.integers(1, 6)):
            data[at] = rng.integers(0, 256)
        try:
            description = parse_description(bytes(data), "config.json")
            fields = description.fields(family, "transformers")
        except (mobileone.CheckpointError, NotImplementedError):
            continue
        assert all(
            name in {f.name for f in (*family.fields, *family.settings)} | {"output_stride"}
            for name in fields
        )

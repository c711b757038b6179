"""DataConfig and class names: defaults, checks, and how they travel with the weights."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from checkpoint import timm_models
from mobileone.checkpoint import CheckpointError, save_safetensors
from mobileone.data.config import DataConfig, check_channels
from mobileone.families.data_config import default_data_config
from mobileone.tasks.classification.labels import (
    check_class_names,
    class_name,
    imagenet_classes,
    parse_class_names,
)

LAYOUTS = ("apple", "timm", "mmpretrain", "cvnets", "jahongir7174")
BGR = DataConfig(
    mean=(0, 0, 0), std=(1, 1, 1), channel_order="BGR", input_size=(96, 64), crop_pct=1
)


def small(**config: Any) -> mobileone.Model:
    return mobileone.create_model("mobileone_mu0", num_classes=4, **config)


def tiny() -> mobileone.Model:
    return mobileone.create_model("custom", widths=[8, 12], depths=[1, 2], num_classes=4)


# Defaults.


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    "name", [*(f"mobileone_s{i}" for i in range(5)), "mobilevit_xxs", "mobilevit_xs", "mobilevit_s"]
)
def test_defaults_are_timms(name: str) -> None:
    timm = timm_models.import_timm()
    told = timm.get_pretrained_cfg(name).to_dict()
    assert default_data_config(name, "timm") == DataConfig.from_timm(told)


def test_defaults_of_the_other_layouts() -> None:
    for layout in LAYOUTS:
        config = default_data_config("mobileone_s0", layout)
        assert config.mean == (0.485, 0.456, 0.406)
        assert config.std == (0.229, 0.224, 0.225)
        assert (config.value_range, config.channel_order) == ((0.0, 1.0), "RGB")
        assert (config.input_size, config.interpolation) == ((224, 224), "bilinear")
        assert config.crop_pct == 0.875
    assert default_data_config("mobileone_s2", "apple").crop_pct == 0.9
    assert default_data_config("mobileone_s2", "mmpretrain").crop_pct == 0.875  # 224 of 256
    for layout in ("cvnets", "transformers", "mmpretrain"):
        config = default_data_config("mobilevit_s", layout)
        assert (config.channel_order, config.limits) == ("BGR", (0.0, 1.0))
        assert (config.input_size, int(256 / config.crop_pct)) == ((256, 256), 288)
    assert default_data_config("custom", channels=4).mean == (0.0,) * 4


def test_limits() -> None:
    # Blue's black is the least negative, and red's the most; white likewise.
    assert DataConfig().limits == pytest.approx((-0.485 / 0.229, (1 - 0.406) / 0.225))
    assert DataConfig(value_range=(-1, 1), mean=(0,), std=(0.5,)).limits == (-2, 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": (0.5,)}, r"mean is \(0\.5,\), std .*; expected one per channel each"),
        ({"mean": (), "std": ()}, "expected one per channel"),
        ({"mean": "abc"}, "mean is 'abc'; expected finite numbers"),
        ({"mean": (0, 0, float("nan"))}, "mean is .*expected finite numbers"),
        ({"std": (1, 1, True)}, "std is .*expected finite numbers"),
        ({"std": (1, 0, 1)}, r"std is \(1\.0, 0\.0, 1\.0\); expected positive numbers"),
        ({"value_range": (1, 0)}, r"value_range is \(1\.0, 0\.0\); expected \(low, high\)"),
        ({"value_range": (1,)}, "expected .low, high."),
        ({"channel_order": "rgb"}, r"channel_order is 'rgb'; expected one of \('RGB', 'BGR'\)"),
        ({"interpolation": "lanczos"}, "interpolation is 'lanczos'; expected one of"),
        ({"input_size": 224}, r"input_size is 224; expected \(height, width\)"),
        ({"input_size": (224, 0)}, "input_size is"),
        ({"input_size": (3, 224, 224)}, "input_size is"),
        ({"crop_pct": 0}, "crop_pct is 0; expected a number above 0, at most 1"),
        ({"crop_pct": "0.9"}, "crop_pct is '0.9'"),
        ({"crop_pct": 1.1}, r"crop_pct is 1\.1"),
    ],
)
def test_values_that_it_cannot_have(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DataConfig(**changes)


def test_json_there_and_back() -> None:
    for config in (DataConfig(), BGR, default_data_config("mobilevit_s", "cvnets")):
        assert DataConfig.from_json(config.to_json()) == config
    for text in ("{", "[" * 100_000, "[]", "3", '{"mena": [1]}', '{"mean": [1]}', '{"mean": null}'):
        with pytest.raises(ValueError, match=r"found|expected"):
            DataConfig.from_json(text)


def test_timms_description() -> None:
    assert DataConfig.from_timm({"mean": None, "url": "x"}) == DataConfig()
    assert DataConfig.from_timm({"input_size": [3, 64, 96]}).input_size == (64, 96)
    with pytest.raises(ValueError, match=r"input_size is \[64, 96\]; expected \(channels, height"):
        DataConfig.from_timm({"input_size": [64, 96]})


def test_channels_are_compared() -> None:
    assert check_channels(BGR, 3) is BGR
    with pytest.raises(ValueError, match="mean and std of 3 channels; the network has 4"):
        check_channels(BGR, 4)


# With the model.


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_saved_in_every_layout_and_form(layout: str, tmp_path: Path) -> None:
    model, path = tiny(), tmp_path / "x.safetensors"
    model.data_config, model.class_names = BGR, ["a", "b", "c", "é"]
    for network in (model, mobileone.reparameterize(model)):
        network.save(path, layout=layout)
        loaded = mobileone.load(path)
        assert loaded.data_config == BGR
        assert loaded.class_names == ("a", "b", "c", "é")
        assert loaded.form == network.form
        for name, array in network.state_dict().items():
            np.testing.assert_array_equal(loaded.state_dict()[name], array, strict=True)


def test_input_size_is_part_of_it() -> None:
    model = small()
    assert model.input_size == (224, 224)
    model.input_size = (64, 96)
    assert model.data_config == dataclasses.replace(DataConfig(), input_size=(64, 96))
    with pytest.raises(ValueError, match="input_size is 64"):
        model.input_size = 64


def test_files_of_others_get_the_default_of_their_variant_and_layout() -> None:
    state = mobileone.create_model("mobileone_s1", form="inference").state_dict("timm")
    assert mobileone.load(state).data_config.crop_pct == 0.9
    model = mobileone.create_model("mobileone_s1", form="inference")
    assert mobileone.load(model.state_dict("mmpretrain")).data_config.crop_pct == 0.875
    assert small(in_channels=4).data_config.std == (1.0,) * 4


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_module_of_timm_says_it_itself() -> None:
    module: Any = timm_models.seeded("mobileone_s1", seed=0)
    assert mobileone.load(module).data_config == default_data_config("mobileone_s1", "timm")
    module.pretrained_cfg = {**module.pretrained_cfg, "mean": (0.5,) * 3, "crop_pct": 1.0}
    config = mobileone.load(module).data_config
    assert (config.mean, config.crop_pct) == ((0.5,) * 3, 1.0)
    module.pretrained_cfg = {**module.pretrained_cfg, "interpolation": "random"}
    assert mobileone.load(module).data_config == default_data_config("mobileone_s1", "timm")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("data_config", "{", "damaged data_config in its metadata: expected a JSON object"),
        ("data_config", '{"crop_pct": 2}', r"damaged data_config.*crop_pct is 2"),
        ("data_config", '{"mean": [0], "std": [1]}', "1 channels; the network has 3"),
        ("data_config", '{"nope": 2}', "found the field 'nope'"),
        ("class_names", "{}", "damaged class_names in its metadata: expected a JSON list"),
        ("class_names", "[1, 2, 3, 4]", "expected a JSON list of strings"),
        ("class_names", '["a"]', "1 class_names for 4 classes"),
        ("class_names", "[" * 100_000, "damaged class_names"),
    ],
)
def test_damaged_metadata(field: str, value: str, message: str, tmp_path: Path) -> None:
    model, path = small(form="inference"), tmp_path / "x.safetensors"
    save_safetensors(path, model.state_dict(), {**model.metadata(), field: value})
    with pytest.raises(CheckpointError, match=rf"x\.safetensors: .*{message}"):
        mobileone.load(path)
    # The same words in the file of another program mean nothing.
    save_safetensors(path, model.state_dict(), {"format": "pt", field: value})
    assert mobileone.load(path).data_config == model.data_config


def test_metadata_is_strings() -> None:
    model = small()
    metadata = model.metadata()
    assert json.loads(metadata["data_config"])["mean"] == [0.485, 0.456, 0.406]
    assert "class_names" not in metadata
    assert all(isinstance(v, str) for v in metadata.values())


# Names of classes.


def test_imagenet_classes() -> None:
    names = imagenet_classes()
    assert len(names) == 1000
    assert len({name.lower() for name in names}) == 1000
    assert all(name == name.strip() and name.isascii() and name for name in names)
    # Landmarks over the whole range, from ILSVRC 2012's development kit.
    for index, word in {
        0: "tench", 1: "goldfish", 134: "crane (bird)", 207: "golden retriever",
        263: "Pembroke Welsh corgi", 281: "tabby", 388: "giant panda", 474: "cardigan",
        517: "crane (machine)", 549: "envelope", 620: "laptop", 805: "soccer ball",
        920: "traffic light", 954: "banana", 985: "daisy", 999: "toilet tissue",
    }.items():  # fmt: skip
        assert names[index] == word


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_every_name_is_a_word_of_its_synset() -> None:
    timm_models.import_timm()
    from timm.data import ImageNetInfo

    info = ImageNetInfo()
    for index, name in enumerate(imagenet_classes()):
        words = info.index_to_description(index).lower()
        kind = name.lower().partition(" (")[0].replace(" welsh corgi", "")
        assert kind in words, f"{index}: {name} is none of {words}"


def test_names_of_other_classes() -> None:
    assert class_name(17, 1000, None) == imagenet_classes()[17]
    assert class_name(17, 100, None) == "class 17"
    assert class_name(1, 2, ("cat", "dog")) == "dog"


def test_class_names_are_checked() -> None:
    model = small()
    assert model.class_names is None
    for names, message in (
        (["a"], "1 class_names for 4 classes"),
        ("abcd", "class_names is 'abcd'; expected a list of strings"),
        ([1, 2, 3, 4], "expected a list of strings"),
    ):
        with pytest.raises(ValueError, match=message):
            model.class_names = names
        with pytest.raises(ValueError, match=message):
            check_class_names(names, 4)
    assert parse_class_names('["a", "b"]') == ("a", "b")


def test_a_module_with_another_kind_of_description() -> None:
    class Described(torch.nn.Module):
        pretrained_cfg = "not a mapping"

    module = Described()
    for name, array in small(form="inference").state_dict().items():
        parent: Any = module
        *path, leaf = name.split(".")
        for part in path:
            if not hasattr(parent, part):
                parent.add_module(part, torch.nn.Module())
            parent = getattr(parent, part)
        parent.register_buffer(leaf, torch.from_numpy(array.copy()))
    assert mobileone.load(module).data_config == default_data_config("mobileone_mu0")

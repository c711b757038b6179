"""Arguments of `load` are checked for every kind of source; counts that NumPy gave an axis load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import MOBILEVIT
from mobileone.checkpoint import CheckpointError


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return mobileone.create_model("mobileone_mu0", num_classes=10, seed=0)


@pytest.mark.parametrize("held", [True, False], ids=["model", "weights"])
@pytest.mark.parametrize(
    ("asked", "kind", "message"),
    [
        ({"arch": "mobileone_s4"}, CheckpointError, "mobileone_mu0"),
        ({"arch": "mobilevit_s"}, CheckpointError, "mobileone_mu0"),
        ({"arch": "resnet"}, ValueError, "arch='resnet'; expected one of mobileone_s0"),
        ({"num_classes": 5}, CheckpointError, "5"),
        ({"num_classes": -1}, ValueError, "num_classes=-1; expected at least 0"),
        ({"sha256": "no checksum"}, ValueError, "only files have checksums"),
        ({"weights": "best"}, ValueError, "weights='best'; expected one of"),
        ({"weights": "ema"}, CheckpointError, "weights='ema' asked for"),
        ({"config": {"widths": [8]}}, ValueError, "config has 'widths'"),
        ({"config": "eps=1"}, TypeError, "config is a str; expected a mapping"),
        ({"config": [("eps", 1e-3)]}, TypeError, "config is a list; expected a mapping"),
        ({"arch": 3}, ValueError, "arch=3; expected one of mobileone_s0"),
        ({"num_classes": "3"}, ValueError, "num_classes='3'; expected at least 0, as an integer"),
        ({"num_classes": 3.0}, ValueError, "num_classes=3.0; expected at least 0, as an integer"),
        ({"num_classes": True}, ValueError, "num_classes=True; expected at least 0, as an integer"),
        ({"head": 3}, TypeError, "head is a int; expected a classifier's name"),
        ({"strict": "no"}, ValueError, "strict is 'no'; expected True or False"),
        ({"check": None}, ValueError, "check is None; expected True or False"),
    ],
)
def test_what_a_source_must_be(
    model: mobileone.Model, held: bool, asked: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        mobileone.load(model if held else model.state_dict(), **asked)


def test_numbers_of_numpy_are_numbers(model: mobileone.Model, tmp_path: Path) -> None:
    said = {"eps": np.float64(1e-3), "stem_stride": np.int32(1), "strides": np.array([2, 2, 1, 1])}
    loaded = mobileone.load(model.state_dict(), num_classes=np.int64(10), config=said)
    config = loaded.bundle.config
    assert (config["eps"], config["stem_stride"], config["strides"]) == (1e-3, 1, [2, 2, 1, 1])
    loaded.save(tmp_path / "net.safetensors")  # the configuration is written as JSON
    assert mobileone.load(tmp_path / "net.safetensors").bundle.config == config


def test_strict_and_check_are_numpys_too(model: mobileone.Model) -> None:
    state = model.state_dict() | {"decoder.weight": np.zeros(3, np.float32)}
    assert mobileone.load(state, strict=np.bool_(False)).report.ignored == ("decoder.weight",)


def test_a_model_that_is_what_was_asked_for_comes_back(model: mobileone.Model) -> None:
    assert mobileone.load(model, arch="mobileone_mu0", num_classes=10) is model
    mobilevit = MOBILEVIT.make()
    assert mobileone.load(mobilevit, config={"heads": 3}) is mobilevit
    with pytest.raises(CheckpointError, match="its heads is 3; expected 1"):
        mobileone.load(mobilevit, config={"heads": 1})


def test_counts_of_shape_1_load(model: mobileone.Model) -> None:
    state = {name: np.ascontiguousarray(value) for name, value in model.state_dict().items()}
    counts = [name for name in state if name.endswith("num_batches_tracked")]
    assert {state[name].shape for name in counts} == {(1,)}
    again = mobileone.load(state)
    assert again.state_dict()[counts[0]].shape == ()
    with pytest.raises(CheckpointError, match="num_batches_tracked"):
        mobileone.load(state | {counts[0]: np.zeros(2, np.int64)})

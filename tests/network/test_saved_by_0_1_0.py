"""Files that 0.1.0 saved still load, and compute what they did; see fixtures/0.1.0/make.py."""

from __future__ import annotations

import math
import pickle
import re
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone import studies
from mobileone.data import DataConfig
from mobileone.verification.rounding import rounding_bound
from numpy.typing import NDArray

FOLDER = Path(__file__).parents[1] / "fixtures" / "0.1.0"
WEIGHTS = sorted(FOLDER.glob("*.safetensors"))
PICKLES = sorted(FOLDER.glob("*.pickle"))


@pytest.fixture(scope="module")
def logits() -> dict[str, NDArray]:
    """The images `x`, and what 0.1.0 made of them by each file."""
    with np.load(FOLDER / "logits.npz") as archive:
        return dict(archive)


def assert_as_before(model: mobileone.Model, logits: dict[str, NDArray], name: str) -> None:
    """Two float32 results of the same network, perhaps of different instruction sets."""
    found, expected = model(logits["x"]), logits[name]
    bound = math.sqrt(2) * rounding_bound(model, logits["x"], []).logits
    assert np.ptp(expected) > 10 * bound  # a network that ignores its weights would be noticed
    np.testing.assert_allclose(found, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_weights(path: Path, logits: dict[str, NDArray]) -> None:
    model = mobileone.load(path)
    assert model.form.replace("-", "_") == path.stem.partition("_")[2]
    assert_as_before(model, logits, path.stem)


@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_pickled_models(path: Path, logits: dict[str, NDArray]) -> None:
    model = pickle.loads(path.read_bytes())
    assert type(model) is (studies.PlainCnn if path.stem == "plain_cnn" else mobileone.Model)
    assert_as_before(model, logits, path.stem)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again(logits["x"]), model(logits["x"]))


def test_what_a_pickle_and_a_file_say_of_a_model() -> None:
    pickled = pickle.loads((FOLDER / "mobileone.pickle").read_bytes())
    for model in (pickled, mobileone.load(FOLDER / "mobileone_train_time.safetensors")):
        assert model.class_names == ("ant", "bee", "cat", "dog", "emu")
        assert model.data_config == DataConfig(
            (0, 0, 0), (1, 1, 1), channel_order="BGR", crop_pct=1.0
        )
        assert (model.arch, model.name) == ("custom", "mobileone_train_time.safetensors")
        assert model.report.layout == "apple"
        assert (model.training, model.dropout_seed) == (False, 0)


def test_a_plan_runs_where_it_was_made_or_says_to_make_it_again(logits: dict[str, NDArray]) -> None:
    path = FOLDER / "mobileone.plan"
    try:
        plan = mobileone.load_plan(path)
    except ValueError:
        with pytest.raises(ValueError, match=rf"{re.escape(str(path))}.*again with save_plan"):
            mobileone.load_plan(path)
    else:
        np.testing.assert_array_equal(plan(logits["x"]), logits["plan"])

"""Table 12: what is made of clean pictures, and published sets in miniature."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone import studies
from mobileone.data.corruption.corrupt import CORRUPTIONS
from mobileone.evaluation.presets import PRESETS
from mobileone.tasks.classification.synsets import imagenet_synsets
from PIL import Image


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    found = mobileone.create_model("custom", widths=[8], depths=[1], seed=1)
    found.input_size = (64, 64)
    return mobileone.reparameterize(found)


def fill(folder: Path, synsets: list[str], count: int = 2) -> Path:
    rng = np.random.default_rng(0)
    for synset in synsets:
        (folder / synset).mkdir(parents=True)
        for i in range(count):
            image = Image.fromarray(rng.integers(0, 256, (70, 90, 3), np.uint8))
            image.save(folder / synset / f"{i}.png")
    return folder


def test_corruptions_are_made_and_the_same_in_every_process(
    model: mobileone.Model, tmp_path: Path
) -> None:
    clean = fill(tmp_path / "val", list(imagenet_synsets()[:2]), 3)
    kinds = {"corruptions": ["gaussian_noise", "fog"], "severities": (1, 5), "seed": 3}
    here = studies.robustness(model, clean=clean, workers=0, **kinds)
    assert here.made
    assert here.corruptions is not None
    assert set(here.corruptions.counts.values()) == {6}
    assert len(here.corruptions.counts) == 4
    assert len(here.corruptions.missing) == 71
    there = studies.robustness(model, clean=clean, workers=2, **kinds)
    other = studies.robustness(model, clean=clean, workers=0, **{**kinds, "seed": 4})
    frames = [r.evaluations["imagenet-c"].to_dataframe() for r in (here, there, other)]
    assert frames[0].equals(frames[1])
    assert not frames[0].equals(frames[2])
    assert frames[0].key[0] == f"gaussian_noise/1/{imagenet_synsets()[0]}/0.png"
    assert "made of the clean pictures" in repr(here)
    assert len(here.to_dataframe()) == 2
    assert here.plot() is not None


def test_published_sets_go_by_their_presets(model: mobileone.Model, tmp_path: Path) -> None:
    synsets = imagenet_synsets()
    columns = PRESETS["imagenet-a"].columns or ()
    adversarial = fill(tmp_path / "a", [synsets[i] for i in columns[:2]])
    sketches = fill(tmp_path / "s", [synsets[5]])
    corrupted = tmp_path / "c"
    for severity in "12345":
        fill(corrupted / "snow" / severity, [synsets[0]], 1)
    result = studies.robustness(
        model, imagenet_a=adversarial, imagenet_sketch=sketches, imagenet_c=corrupted
    )
    assert list(result.evaluations) == ["imagenet-c", "imagenet-a", "imagenet-sketch"]
    assert not result.made
    assert result.corruptions is not None
    assert result.corruptions.corruptions == ["snow"]
    assert set(result.to_dict()["evaluations"]) == set(result.evaluations)


def test_the_papers_numbers_stand_beside_its_networks(tmp_path: Path) -> None:
    synsets = [imagenet_synsets()[i] for i in (PRESETS["imagenet-r"].columns or ())[:1]]
    folder = fill(tmp_path / "r", synsets, 1)
    result = studies.robustness(mobileone.create_model("mobileone_s0"), imagenet_r=folder)
    assert "32.9" in repr(result)
    assert "its mCE is 86.4" in repr(result)
    with pytest.raises(ValueError, match="no data is given"):
        studies.robustness(mobileone.create_model("mobileone_s0"))
    with pytest.raises(ValueError, match="corruptions holds 'rain'"):
        studies.robustness(
            mobileone.create_model("mobileone_s0"), clean=folder, corruptions=["rain"]
        )


def test_all_fifteen_are_known() -> None:
    from mobileone.evaluation.corruptions import ALEXNET_ERRORS

    assert list(CORRUPTIONS) == list(ALEXNET_ERRORS)

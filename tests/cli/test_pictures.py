"""`mobileone detect` and `mobileone segment`."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.cli import main
from PIL import Image


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    for name in ("a.png", "inner/a.jpg"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise).save(tmp_path / "in" / name)
    return tmp_path / "in"


@pytest.mark.parametrize("verb", ["detect", "segment"])
def test_a_folder_of_pictures(
    verb: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if verb == "detect":
        model, more = mobileone.create_detector("mobileone_mu0", num_classes=3), ["--score", "0.1"]
    else:
        model, more = mobileone.create_segmenter("mobileone_mu0"), ["--size", "32"]
    model.save(tmp_path / "net.safetensors")
    arguments = [verb, str(tmp_path / "net.safetensors"), str(folder), "--out"]
    assert main([*arguments, str(tmp_path / "out"), *more]) == 0
    shown = capsys.readouterr().out
    assert "40 x 56 pixels" in shown
    assert str(folder / "inner" / "a.jpg") in shown
    for name in ("a.png", "a.2.png"):
        with Image.open(tmp_path / "out" / name) as drawn:
            assert drawn.size == (56, 40)


def test_what_is_wrong_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3)
    model.save(tmp_path / "net.safetensors")
    net = str(tmp_path / "net.safetensors")
    assert main(["detect", net, str(tmp_path / "absent.png")]) == 2
    assert "is for classification; see create_detector" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    assert main(["segment", net, str(tmp_path / "empty")]) == 1
    assert "no pictures there" in capsys.readouterr().err

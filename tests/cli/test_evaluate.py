"""`mobileone evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.cli import main
from PIL import Image

DIGITS = Path(mobileone.__file__).parent / "cli" / "digits.safetensors"


def test_digits_in_both_forms(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    assert main(["evaluate", str(DIGITS), "digits", "--json", str(path)]) == 0
    out = capsys.readouterr().out
    assert "evaluation on arrays" in out
    assert "digits.safetensors (inference)" in out
    figures = json.loads(path.read_text())
    assert figures["pictures"] == 360
    assert figures["top1"]["low"] < figures["top1"]["value"] < figures["top1"]["high"]
    assert figures["top1"]["value"] > 0.95
    assert main(["evaluate", str(DIGITS), "digits", "--keep-form", "--quiet"]) == 0
    assert "digits.safetensors (train-time)" in capsys.readouterr().out


def test_a_folder_beside_an_onnx_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    model = mobileone.reparameterize(DIGITS)
    model.save(tmp_path / "digits.onnx")
    for digit in (0, 3):
        (tmp_path / "data" / str(digit)).mkdir(parents=True)
        pixels = np.random.default_rng(digit).integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "data" / str(digit) / "x.png")
    command = ["evaluate", str(DIGITS), str(tmp_path / "data"), "--against"]
    results = ["--results", str(tmp_path / "results")]
    assert main([*command, str(tmp_path / "digits.onnx"), *results]) == 0
    out = capsys.readouterr().out
    assert "digits.onnx against digits.safetensors (inference)" in out
    assert "100.0000% of 2" in out
    assert (tmp_path / "results" / "evaluation.json").exists()
    assert main([*command, str(tmp_path / "none.onnx")]) == 1
    assert "none.onnx" in capsys.readouterr().err
    (tmp_path / "junk.onnx").write_bytes(b"no protobuf")
    assert main([*command, str(tmp_path / "junk.onnx")]) == 2
    said = capsys.readouterr().err
    assert "junk.onnx: ONNX Runtime cannot load it: " in said
    assert said.count("\n") == 1
    model.export_onnx(tmp_path / "fixed.onnx", input_size=64)
    assert main([*command, str(tmp_path / "fixed.onnx"), "--quiet"]) == 2
    said = capsys.readouterr().err
    assert "fixed.onnx: ONNX Runtime cannot run it on images of shape (2, 3, " in said


def test_arguments_that_do_not_fit(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["evaluate", str(DIGITS), str(tmp_path)]) == 2
    assert "has no folders with pictures" in capsys.readouterr().err
    assert main(["evaluate", str(DIGITS), str(tmp_path / "none")]) == 1
    assert main(["evaluate", str(DIGITS), "digits", "--workers", "-1"]) == 2
    assert "workers is -1; expected an integer of at least 0" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["evaluate", str(DIGITS), "digits", "--preset", "cifar"])

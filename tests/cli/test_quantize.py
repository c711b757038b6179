"""`mobileone quantize`."""

from __future__ import annotations

import json
from pathlib import Path

import mobileone
import pytest
from mobileone.cli import main
from mobileone.cli.demo_digits import DIGITS_CHECKPOINT

Capture = pytest.CaptureFixture[str]


def test_a_file_and_a_report(tmp_path: Path, capsys: Capture) -> None:
    out, report = tmp_path / "int8.safetensors", tmp_path / "report.json"
    arguments = ["quantize", str(DIGITS_CHECKPOINT), "--data", "digits", "-o", str(out)]
    arguments += ["--images", "40", "--without", "equalization", "--json", str(report)]
    assert main(arguments) == 0
    printed = capsys.readouterr()
    model = mobileone.load(out)
    assert model.quantization is not None
    assert printed.out.strip() == repr(model.quantization)
    assert json.loads(report.read_text())["images"] == 40


def test_bad_arguments(tmp_path: Path, capsys: Capture) -> None:
    out = str(tmp_path / "int8.safetensors")
    folder = str(tmp_path / "none")
    assert main(["quantize", "mobileone_s0", "--data", folder, "-o", out]) == 1
    assert "none" in capsys.readouterr().err
    assert not Path(out).exists()
    other = str(tmp_path / "int8.txt")
    assert main(["quantize", "mobileone_s0", "--data", folder, "-o", other]) == 2
    assert "weights are not saved as .txt" in capsys.readouterr().err, "before anything is read"

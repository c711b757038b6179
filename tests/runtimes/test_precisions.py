"""Engines below float32: what they are judged on; their figures, from the logits."""

from __future__ import annotations

import json
import os
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.cli.demo_digits import DIGITS_CHECKPOINT
from mobileone.data.datasets.digits import split_digits

from benchmarks.runtimes import cli, harness
from benchmarks.runtimes.case import kept_case, write_case
from benchmarks.runtimes.registry import ENGINES, OURS, Engine

from .support import CPUS, ORT, SHORT, by_name, run, silent

pytest.importorskip("onnxruntime", reason="the rival in these tests")
pytest.importorskip("onnx", reason="what the rival is given")

FLOAT = "mobileone-float32"
PLAN = "mobileone-plan"


def noise_db(expected: np.ndarray, found: np.ndarray) -> float:
    x, y = expected.astype(np.float64), found.astype(np.float64)
    return float(10 * np.log10((x**2).mean() / ((y - x) ** 2).mean()))


@pytest.mark.parametrize("batch", [1, 3])
def test_int8_is_judged_on_held_out_images(batch: int, checkpoint: Path, tmp_path: Path) -> None:
    """Recomputed here from the files; 8 images do not fill the batches of 3."""
    case = write_case(os.fspath(checkpoint), batch, 64, 0, tmp_path, "int8")
    result = run(case, [OURS, FLOAT, PLAN, ORT])
    assert [entry.failure for entry in result.entries] == [None] * 4
    held_out = np.load(tmp_path / "held_out.npy")
    assert case.held_out == len(held_out) == 8
    calibration = np.load(tmp_path / "calibration.npy")
    assert not any(np.array_equal(a, b) for a in calibration for b in held_out)
    expected = mobileone.load(checkpoint)(held_out)
    int8 = mobileone.load(tmp_path / "int8.safetensors")
    logits = int8(held_out)
    for name in (OURS, PLAN):
        found = by_name(result, name).fidelity
        assert found is not None
        assert found.sqnr == pytest.approx(noise_db(expected, logits), abs=0.05)
        assert found.same == pytest.approx((logits.argmax(1) == expected.argmax(1)).mean())
        assert found.accuracy is None
        assert "int8" in by_name(result, OURS).settings["steps"]
    assert by_name(result, FLOAT).fidelity is not None
    assert (
        by_name(result, FLOAT).fidelity.sqnr is None or by_name(result, FLOAT).fidelity.sqnr > 100
    )
    rival = by_name(result, ORT)
    assert rival.fidelity is not None
    assert rival.fidelity.sqnr is not None
    assert 5 < rival.fidelity.sqnr < 60  # it has integers, and the images are not mixed up
    assert all(entry.rounds for entry in result.entries)


def test_the_digits_network_has_an_accuracy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sklearn", reason="the digits")
    monkeypatch.setattr("benchmarks.runtimes.compare.QUICK", SHORT)
    path = tmp_path / "report.json"
    command = ["--models", "digits", "--dtype", "int8", "--engines", ORT, "--quick"]
    assert cli.main([*command, "--json", os.fspath(path)]) == 0
    (measured,) = json.loads(path.read_text())["cases"]
    test = split_digits()[1]
    model = mobileone.reparameterize(DIGITS_CHECKPOINT)
    right = (model(model.preprocess(test.pixels)).argmax(1) == test.labels).mean()
    assert measured["float_accuracy"] == pytest.approx(right)
    assert measured["held_out"] == len(test.labels)
    assert measured["bound"] is None
    figures = {entry["engine"]: entry["fidelity"] for entry in measured["engines"]}
    assert all(right - 0.05 < found["accuracy"] <= 1 for found in figures.values())
    text = capsys.readouterr().out
    assert "accuracy %" in text
    assert f"float32 recognises {right:.2%} of them" in text
    assert f"{100 * figures[OURS]['accuracy']:.2f}" in text


def test_digits_have_one_size(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="the digits")
    with pytest.raises(ValueError, match=r"digits has images \(3, 32, 32\); size asks for \(3, 64"):
        write_case("digits", 1, 64, 0, tmp_path, "int8")


def test_an_engine_without_its_quantizer_is_left_out(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = write_case(os.fspath(checkpoint), 1, 64, 0, tmp_path, "int8")
    rival = Engine("rival", "rival_engine", "numpy", {}, dtypes=("int8",), quantizer="no-such")
    known = {engine.name: engine for engine in (*ENGINES, rival)}
    monkeypatch.setattr(harness, "find_engine", known.__getitem__)
    reasons = harness.convert(case, ["rival"], [1], CPUS, None, silent)
    assert reasons == {"rival": "no-such is not installed"}
    assert rival.missing("float32") is None


def test_written_networks_are_kept(checkpoint: Path, tmp_path: Path) -> None:
    source = os.fspath(checkpoint)
    case = kept_case(source, 1, 64, 0, tmp_path, "int8")
    assert harness.convert(case, [OURS, ORT], [1], CPUS, None, silent) == {}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    again = kept_case(source, 1, 64, 0, tmp_path, "int8")
    assert again == case
    assert harness.convert(again, [OURS, ORT], [1], CPUS, None, silent) == {}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before
    with pytest.raises(ValueError, match=r"has the case .*'int8'.*expected .*'float32'"):
        kept_case(source, 1, 64, 0, tmp_path, "float32")

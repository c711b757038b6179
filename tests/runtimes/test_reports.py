"""The command line and what it prints, on a small network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.runtimes import cli, cold_start, compare, harness
from benchmarks.runtimes.case import Case
from benchmarks.runtimes.measurement import CaseResult, Entry
from benchmarks.runtimes.registry import OURS
from benchmarks.runtimes.tables import throughput_table

from .support import ORT, SHORT

pytest.importorskip("onnxruntime", reason="the rival in these tests")


@pytest.mark.usefixtures("quick")
def test_command_line(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, figure = tmp_path / "report.json", tmp_path / "figure.png"
    command = ["--models", os.fspath(checkpoint), "--size", "64", "--engines", ORT, "--quick"]
    options = ["--batches", "1", "2", "--cold-start", "--markdown"]
    outputs = ["--json", os.fspath(path), "--plot", os.fspath(figure)]
    assert cli.main([*command, *options, *outputs]) == 0
    text = capsys.readouterr().out
    for title in ("1x3x64x64", "2x3x64x64", "**images/s**", "**cold start, small.safetensors**"):
        assert title in text
    assert "null run, ours against ours" in text
    assert "allow_spinning=1" in text
    assert figure.read_bytes().startswith(b"\x89PNG")

    facts = json.loads(path.read_text())
    assert facts["schema"] == "mobileone.runtimes/1"
    assert facts["interrupted"] is False
    assert facts["protocol"] == SHORT.to_dict()
    assert [c["input_shape"][0] for c in facts["cases"]] == [1, 2]
    for measured in facts["cases"]:
        ours, rival, again = measured["engines"]
        assert [ours["engine"], rival["engine"], again["engine"]] == [OURS, ORT, OURS]
        assert [ours["null_run"], rival["null_run"], again["null_run"]] == [False, False, True]
        assert measured["null"]["spread"] >= 1
        ratios = [
            np.median(rival["samples_ns"][i]) / np.median(ours["samples_ns"][i]) for i in "01"
        ]
        assert rival["time_over_ours"]["median"] == pytest.approx(np.median(ratios))
        assert rival["verdict"] in ("ours", "theirs", "tie")
    starts = facts["cold_start"]["small.safetensors"]
    assert [start["engine"] for start in starts] == [cold_start.BARE, OURS, ORT]


@pytest.mark.usefixtures("quick")
def test_pauses_and_a_neighbour(checkpoint: Path, tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    command = ["--models", os.fspath(checkpoint), "--size", "64", "--engines", OURS, "--quick"]
    around = ["--pause", "0", "20", "--beside", ORT, "--json", os.fspath(path)]
    assert cli.main([*command, *around]) == 0
    at_once, paused = json.loads(path.read_text())["cases"]
    assert [case["pause_ms"] for case in (at_once, paused)] == [0, 20]
    for case in (at_once, paused):
        assert case["beside"] == ORT
        assert all(engine["cpu_ms"] > 0 for engine in case["engines"])
    runs = [sum(map(len, c["engines"][0]["samples_ns"].values())) for c in (at_once, paused)]
    most = SHORT.rounds * (SHORT.turn_s / 0.02 + 1)  # no pause is cut short
    assert runs[1] <= most


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("pause", ["-1", "nan", "20000"])
def test_a_pause_that_cannot_be_is_named(
    checkpoint: Path, capsys: pytest.CaptureFixture[str], pause: str
) -> None:
    assert cli.main(["--models", os.fspath(checkpoint), "--pause", pause]) == 2
    assert f"pause has {pause}; expected 0 to 10000 ms" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_ctrl_c_keeps_the_partial_result(
    checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    turns = 0
    take_turn = harness._take_turn

    def interrupt(runner: harness._Runner, index: int, protocol: harness.Protocol) -> None:
        nonlocal turns
        turns += 1
        if turns == 4:
            raise KeyboardInterrupt
        take_turn(runner, index, protocol)

    monkeypatch.setattr(harness, "_take_turn", interrupt)
    path = tmp_path / "partial.json"
    command = ["--models", os.fspath(checkpoint), "--size", "64", "--engines", ORT, "--quick"]
    assert cli.main([*command, "--threads", "1", "1", "--json", os.fspath(path)]) == 130
    assert "interrupted: the tables cover what was measured until then" in capsys.readouterr().out
    facts = json.loads(path.read_text())
    assert facts["interrupted"] is True
    assert [len(e["samples_ns"]) for e in facts["cases"][0]["engines"]] == [1, 1, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--engines", "tvm"], "engines has 'tvm'; expected some of mobileone, "),
        (["--threads", "4096"], "threads is 4096; expected at most"),
        (["--models", "mobileone_s9"], "mobileone_s9"),
        (["--size", "16"], "input_size is 16; expected an integer of at least 32"),
    ],
)
def test_bad_arguments(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments, "--quick"]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert not captured.out


@pytest.mark.usefixtures("quick")
def test_a_model_that_our_engine_cannot_run_does_not_lose_the_others(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measure = harness.measure

    def spoil(case: Case, *arguments: Any) -> CaseResult:
        if case.batch == 1:
            (case.folder / "model.safetensors").write_bytes(b"no checkpoint")
        return measure(case, *arguments)

    monkeypatch.setattr(compare, "measure", spoil)
    command = ["--models", os.fspath(checkpoint), "--size", "64", "--engines", OURS, "--quick"]
    assert cli.main([*command, "--batches", "1", "2"]) == 1
    text = capsys.readouterr().out
    assert "2x3x64x64, float32, 1 thread" in text
    assert "failed: small.safetensors, batch 1, 1 threads: mobileone cannot run" in text


@pytest.mark.usefixtures("quick")
def test_report_shows_itself_in_a_notebook(checkpoint: Path) -> None:
    report = compare.compare([os.fspath(checkpoint)], size=64, engines=[ORT], quick=True)
    assert repr(report) == report.to_text()
    assert "<table>" in report._repr_html_()
    (bar,) = report.plot().patches
    ratio = report.cases[0].ratio(report.cases[0].entries[1])
    assert ratio is not None
    assert bar.get_width() == ratio.median


def test_throughput_is_images_of_a_batch_over_its_median(case: Case) -> None:
    entry = Entry(OURS, "1", rounds={0: [4_000_000, 2_000_000, 1_000_000]})
    result = CaseResult(case, 1, [0], [entry], Entry(OURS, "1"))
    (row,) = throughput_table([result]).rows
    assert row[-1] == "500.0"

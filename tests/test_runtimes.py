"""The comparison with rival runtimes: statistics on known samples, then the real processes.

Nothing here limits a time. The network is small, odd in size and has squeeze-and-excite blocks.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pins processes to CPUs")
pytest.importorskip("onnxruntime", reason="the rival in these tests")

from benchmarks.runtimes import cli, cold_start, compare, harness  # noqa: E402
from benchmarks.runtimes.case import Case, write_case  # noqa: E402
from benchmarks.runtimes.cpus import choose_cpus  # noqa: E402
from benchmarks.runtimes.measurement import CaseResult, Entry  # noqa: E402
from benchmarks.runtimes.ratios import Null, Ratio, null_of, ratio_of, verdict  # noqa: E402
from benchmarks.runtimes.registry import ENGINES, OURS, Engine, find_engine  # noqa: E402
from benchmarks.runtimes.tables import throughput_table  # noqa: E402
from benchmarks.runtimes.worker_process import (  # noqa: E402
    WorkerError,
    WorkerProcess,
    child_environment,
)

SHORT = harness.Protocol(rounds=2, turn_s=1e-3, settle_s=1e-3, warm_up_s=1e-3)
CPUS = choose_cpus(1)
ORT = "onnxruntime"


def silent(text: str) -> None:
    """Takes the place of the progress line."""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = mobileone.create_model(
        "custom",
        form="inference",
        seed=3,
        widths=[16, 24, 40, 32],
        depths=[1, 2, 1, 1],
        se_depths=[0, 1, 0, 1],
        num_classes=10,
    )
    path = tmp_path_factory.mktemp("runtimes") / "small.safetensors"
    model.save(path)
    return path


@pytest.fixture
def case(checkpoint: Path, tmp_path: Path) -> Case:
    return write_case(os.fspath(checkpoint), 1, 64, 0, tmp_path)


def run(case: Case, engines: list[str], isa: str | None = None) -> CaseResult:
    unavailable = harness.convert(case, engines, [1], CPUS, isa, silent)
    return harness.measure(case, engines, 1, CPUS, isa, SHORT, unavailable, silent)


def by_name(result: CaseResult, name: str) -> Entry:
    return next(entry for entry in result.entries if entry.engine == name)


# --- ratios ---------------------------------------------------------------------------------------


def test_ratio_is_the_median_over_rounds_of_ratios_of_medians() -> None:
    ours = {0: [100, 110, 900], 1: [200, 200], 2: [100], 7: [1]}
    theirs = {0: [220, 1, 220], 1: [600, 600], 2: [125], 9: [1]}
    ratio = ratio_of(theirs, ours)
    assert ratio is not None
    assert ratio.median == 2.0  # of 2, 3 and 1.25
    assert (ratio.low, ratio.high) == (1.25, 3.0)
    assert ratio.of_minima == 1 / 100
    assert ratio.rounds == 3


def test_drift_of_the_machine_does_not_reach_the_ratio() -> None:
    slowdown = [1, 1.5, 1, 1.5, 1.5, 1, 1.5]
    ours = {i: [int(1000 * s)] for i, s in enumerate(slowdown)}
    theirs = {i: [int(1200 * s)] for i, s in enumerate(slowdown)}
    ratio = ratio_of(theirs, ours)
    assert ratio is not None
    assert (ratio.low, ratio.median, ratio.high) == (1.2, 1.2, 1.2)


def test_no_common_round_no_ratio() -> None:
    assert ratio_of({0: [1]}, {1: [1]}) is None
    assert null_of({}, {}) is None
    assert verdict(None, None) == "unknown"


@pytest.mark.parametrize(
    ("again", "spread", "quiet"),
    [
        ([101, 101, 101], 1.01, True),
        ([99, 100, 100], 100 / 99, True),
        ([80, 100, 125], 1.25, False),
    ],
)
def test_spread_of_the_null_run(again: list[int], spread: float, quiet: bool) -> None:
    null = null_of(dict(enumerate([[n] for n in again])), {i: [100] for i in range(3)})
    assert null is not None
    assert null.spread == pytest.approx(spread)
    assert null.quiet is quiet


@pytest.mark.parametrize(
    ("median", "low", "high", "expected"),
    [
        (1.20, 1.10, 1.30, "ours"),
        (0.80, 0.70, 0.90, "theirs"),
        (1.04, 1.03, 1.05, "tie"),  # within the spread of 1.05
        (0.96, 0.95, 0.97, "tie"),
        (1.20, 0.99, 1.40, "tie"),  # not told apart from 1
    ],
)
def test_verdict(median: float, low: float, high: float, expected: str) -> None:
    null = Null(Ratio(1.0, 0.99, 1.05, 1.0, 9), spread=1.05)
    assert verdict(Ratio(median, low, high, median, 9), null) == expected


# --- CPUs and environment -------------------------------------------------------------------------


def test_cpus_are_physical_cores_of_the_affinity_mask() -> None:
    allowed = os.sched_getaffinity(0)
    assert choose_cpus(1)[0] in allowed
    first = min(allowed)
    assert choose_cpus(1, [first]) == [first]
    with pytest.raises(ValueError, match=r"threads is 4096; expected at most \d+"):
        choose_cpus(4096)
    with pytest.raises(ValueError, match=r"cpus has \[99999\]; expected some of"):
        choose_cpus(1, [99999])


def test_exported_limits_do_not_reach_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA", "MOBILEONE_MAX_ISA"):
        monkeypatch.setenv(name, "x")
    environment = child_environment({"OMP_NUM_THREADS": "2"})
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["PATH"] == os.environ["PATH"]
    assert not {"OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA", "MOBILEONE_MAX_ISA"} & set(environment)


# --- workers --------------------------------------------------------------------------------------


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with WorkerProcess(CPUS, {"OMP_NUM_THREADS": "1"}) as process:
        yield process


def state(pid: int) -> str:
    """The state letter in /proc/PID/stat, after the name in parentheses."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_worker_is_confined_paused_and_ended(worker: WorkerProcess, case: Case) -> None:
    worker.ask("open", "mobileone_engine", os.fspath(case.folder), 1)
    assert os.sched_getaffinity(worker.pid) == set(CPUS)
    worker.pause()
    deadline = time.monotonic() + 30
    while state(worker.pid) != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(worker.pid) == "T"
    worker.resume()
    assert len(worker.ask("time", 0.0, 0.0)) == 1
    worker.pause()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def test_worker_errors_are_told_apart(worker: WorkerProcess, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="FileNotFoundError"):
        worker.ask("open", "mobileone_engine", os.fspath(tmp_path), 1)
    with pytest.raises(WorkerError, match="no answer to 'time' within"):
        worker.ask("time", 1e9, 0.0, timeout_s=0.0)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="died at 'output': SIGKILL"):
        worker.ask("output")


# --- cases ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "batch"), [(64, 1), (65, 3)])
@pytest.mark.parametrize(
    "engine", [e.name for e in ENGINES if e.name not in (OURS, "torch-compile")]
)
def test_every_engine_computes_the_same(
    engine: str, size: int, batch: int, checkpoint: Path, tmp_path: Path
) -> None:
    """65 needs TensorFlow's "same" padding where 64 needs explicit zeros."""
    if find_engine(engine).version() is None:
        pytest.skip(f"{find_engine(engine).distribution} is not installed")
    result = run(write_case(os.fspath(checkpoint), batch, size, 0, tmp_path), [OURS, engine])
    entry = by_name(result, engine)
    if engine == "ncnn" and batch > 1:
        assert "ncnn has no batch dimension; batch is 3" in str(entry.failure)
        return
    assert entry.failure is None
    assert entry.error is not None
    assert entry.error <= 1
    assert entry.settings
    assert sorted(entry.rounds) == [0, 1]
    assert all(ns > 0 for samples in entry.rounds.values() for ns in samples)


def test_the_bound_is_that_of_float32_rounding(case: Case) -> None:
    """Derived, so it is near float32's own precision, and never near a coarser format's."""
    model = mobileone.load(case.folder / "model.safetensors")
    largest = float(np.abs(model(np.load(case.folder / "x.npy"))).max())
    epsilon = np.finfo(np.float32).eps
    assert epsilon / 8 < case.bound / largest < 2.0**-12


@pytest.mark.parametrize("mantissa_bits", [7, 10], ids=["bfloat16", "float16"])
def test_a_rival_of_lower_precision_is_not_timed(case: Case, mantissa_bits: int) -> None:
    import onnx
    from onnx import numpy_helper

    unavailable = harness.convert(case, [OURS, ORT], [1], CPUS, None, silent)
    path = case.folder / "model.onnx"
    proto = onnx.load(path)
    mask = np.uint32((0xFFFFFFFF << (23 - mantissa_bits)) & 0xFFFFFFFF)
    for tensor in proto.graph.initializer:
        bits = numpy_helper.to_array(tensor).view(np.uint32) & mask
        tensor.CopyFrom(numpy_helper.from_array(bits.view(np.float32), tensor.name))
    onnx.save(proto, path)
    result = harness.measure(case, [OURS, ORT], 1, CPUS, None, SHORT, unavailable, silent)
    entry = by_name(result, ORT)
    assert str(entry.failure).startswith("wrong result: logits differ from ours by")
    assert not entry.rounds
    assert result.ours.rounds


def test_a_missing_or_broken_rival_is_reported(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = Engine("absent", "absent_engine", "no-such-distribution", {})
    broken = Engine("broken", "no_such_module", "numpy", {})
    known = {engine.name: engine for engine in (*ENGINES, absent, broken)}
    monkeypatch.setattr(harness, "find_engine", known.__getitem__)
    unavailable = harness.convert(case, [OURS, ORT, "absent", "broken"], [1], CPUS, None, silent)
    assert unavailable["absent"] == "no-such-distribution is not installed"
    assert "ModuleNotFoundError" in unavailable["broken"]
    (case.folder / "model.onnx").unlink()
    result = harness.measure(
        case, [OURS, ORT, "absent", "broken"], 1, CPUS, None, SHORT, unavailable, silent
    )
    assert all(by_name(result, name).failure for name in (ORT, "absent", "broken"))
    assert sorted(result.ours.rounds) == [0, 1]
    assert result.null is not None


def test_our_own_failure_is_an_error(case: Case) -> None:
    (case.folder / "model.safetensors").write_bytes(b"no checkpoint")
    with pytest.raises(WorkerError, match=r"mobileone cannot run: .*model\.safetensors"):
        harness.measure(case, [OURS], 1, CPUS, None, SHORT, {}, silent)


def test_rounds_rotate_and_an_interruption_keeps_them(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[tuple[int, int]] = []
    take_turn = harness._take_turn

    def record(runner: harness._Runner, index: int, protocol: harness.Protocol) -> None:
        if len(order) == 7:
            raise KeyboardInterrupt
        order.append((index, id(runner.entry)))
        take_turn(runner, index, protocol)

    monkeypatch.setattr(harness, "_take_turn", record)
    protocol = harness.Protocol(rounds=5, turn_s=1e-3, settle_s=1e-3, warm_up_s=1e-3)
    unavailable = harness.convert(case, [OURS, ORT], [1], CPUS, None, silent)
    result = harness.measure(case, [OURS, ORT], 1, CPUS, None, protocol, unavailable, silent)
    a, b, c = (id(entry) for entry in (result.ours, result.again, by_name(result, ORT)))
    assert order == [(0, a), (0, b), (0, c), (1, b), (1, c), (1, a), (2, c)]
    assert result.interrupted
    assert sorted(by_name(result, ORT).rounds) == [0, 1, 2]
    assert sorted(result.ours.rounds) == [0, 1]


@pytest.mark.parametrize("victim", [OURS, ORT])
def test_an_engine_that_dies_in_a_round_keeps_its_samples(
    victim: str, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_turn = harness._take_turn

    def kill(runner: harness._Runner, index: int, protocol: harness.Protocol) -> None:
        if index == 1 and runner.entry.engine == victim:
            os.kill(runner.worker.pid, signal.SIGKILL)
        take_turn(runner, index, protocol)

    monkeypatch.setattr(harness, "_take_turn", kill)
    result = run(case, [OURS, ORT])
    entry = by_name(result, victim)
    assert str(entry.failure).startswith("in round 2: died at 'time': SIGKILL")
    assert sorted(entry.rounds) == [0]
    assert result.ratio(by_name(result, ORT)) is not None


def test_isa_is_forced_on_those_that_can_be_held(case: Case) -> None:
    stored = "mobileone-plan"
    result = run(case, [OURS, stored, ORT], isa="avx2")
    assert not result.held(by_name(result, ORT))
    for entry in (result.ours, by_name(result, stored)):
        assert result.held(entry)
        assert entry.failure is None
        assert entry.settings["isa"] == "avx2"


def test_cold_starts_of_ours_a_rival_and_a_broken_one(case: Case) -> None:
    harness.convert(case, [ORT], [1], CPUS, None, silent)
    starts = cold_start.cold_starts(case, [OURS, ORT, "litert"], 1, CPUS, None, 2, silent)
    bare, ours, rival, unconverted = starts
    assert bare.engine == cold_start.BARE
    for start in (bare, ours, rival):
        assert start.failure is None
        assert sorted(start.seconds) == [0, 1]
    assert min(ours.peak_memory, rival.peak_memory) > bare.peak_memory > 2**20
    assert len(ours.over(bare)) == 2
    assert ours.median_over_ms(bare) == pytest.approx(1e3 * np.median(ours.over(bare)))
    # Its file was never written.
    assert unconverted.failure
    assert not unconverted.seconds


# --- reports --------------------------------------------------------------------------------------


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "QUICK", SHORT)
    monkeypatch.setattr(compare, "_COLD_STARTS", {True: 2})


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

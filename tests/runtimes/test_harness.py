"""Small real runs: every engine, and what goes wrong with one. Nothing here limits a time."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import mobileone
import numpy as np
import pytest

from benchmarks.runtimes import cold_start, harness
from benchmarks.runtimes.case import Case, write_case
from benchmarks.runtimes.registry import ENGINES, OURS, Engine, find_engine
from benchmarks.runtimes.worker_process import WorkerError

from .support import CPUS, ORT, SHORT, by_name, run, silent

pytest.importorskip("onnxruntime", reason="the rival in these tests")


@pytest.mark.parametrize(("size", "batch"), [(64, 1), (65, 3)])
@pytest.mark.parametrize(
    "engine",
    [e.name for e in ENGINES if e.name not in (OURS, "torch-compile") and "float32" in e.dtypes],
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

"""Runs a case: converts, opens, compares, then times all engines in interleaved rounds."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.case import Case
from benchmarks.runtimes.measurement import CaseResult, Entry
from benchmarks.runtimes.registry import OURS, Engine, find_engine
from benchmarks.runtimes.worker_process import WorkerError, WorkerProcess

__all__ = ["FULL", "QUICK", "Protocol", "convert", "measure"]

# torch.compile takes minutes for the larger nets.
_OPEN_S = 600.0

Report = Callable[[str], None]


@dataclass(frozen=True)
class Protocol:
    """``rounds`` turns per engine of about ``turn_s`` timed seconds, each after ``settle_s``
    untimed ones; before all that ``warm_up_s`` untimed seconds per engine."""

    rounds: int
    turn_s: float
    settle_s: float
    warm_up_s: float

    def to_dict(self) -> dict[str, float]:
        """The numbers by name."""
        return asdict(self)


FULL = Protocol(rounds=30, turn_s=0.4, settle_s=0.04, warm_up_s=1.0)
QUICK = Protocol(rounds=12, turn_s=0.2, settle_s=0.02, warm_up_s=0.3)


def convert(case: Case, engines: Sequence[str], cpus: Sequence[int], say: Report) -> dict[str, str]:
    """Write the case in every engine's format, each in a process of its own.

    Returns the engines that cannot take part, with the reason.
    """
    reasons: dict[str, str] = {}
    for name in engines:
        engine = find_engine(name)
        if engine.version() is None:
            reasons[name] = f"{engine.distribution} is not installed"
            continue
        say(f"{case.model}: writing for {name}")
        try:
            with WorkerProcess(cpus, {"OMP_NUM_THREADS": str(len(cpus))}) as worker:
                worker.ask("write", engine.module, str(case.folder), timeout_s=_OPEN_S)
        except WorkerError as error:
            reasons[name] = f"cannot convert: {error}"
    return reasons


@dataclass
class _Runner:
    """An engine's worker, its entry, and how many runs make a turn."""

    worker: WorkerProcess
    entry: Entry
    settle: int = 0
    runs: int = 0


def measure(
    case: Case,
    engines: Sequence[str],
    threads: int,
    cpus: Sequence[int],
    isa: str | None,
    protocol: Protocol,
    unavailable: dict[str, str],
    say: Report,
) -> CaseResult:
    """Time ``engines``, ours among them, and ours a second time as the null run.

    Ctrl-C during the rounds ends them; the result then covers what was done. WorkerError if our
    own engine cannot run.
    """
    entries = [Entry(n, find_engine(n).version(), failure=unavailable.get(n)) for n in engines]
    again = Entry(OURS, find_engine(OURS).version())
    result = CaseResult(case, threads, list(cpus), entries, again, isa)
    with contextlib.ExitStack() as stack:
        runners: list[_Runner] = []
        expected: npt.NDArray[np.float32] | None = None
        # Ours comes first, since every other engine is compared with it.
        for entry in [result.ours, result.again, *(e for e in entries if e is not result.ours)]:
            if entry.failure is not None:
                continue
            say(f"{case.model}, batch {case.batch}, {threads} threads: opening {entry.engine}")
            engine = find_engine(entry.engine)
            environment = {"OMP_NUM_THREADS": str(threads), **engine.isa_environment(isa)}
            worker = stack.enter_context(WorkerProcess(cpus, environment))
            runner = _Runner(worker, entry)
            output = _open(runner, engine, case, threads, protocol)
            if entry is result.ours:
                if output is None:
                    raise WorkerError(f"mobileone cannot run: {entry.failure}")
                expected = output
            if (
                output is not None
                and expected is not None
                and _agrees(entry, output, expected, case)
            ):
                runners.append(runner)
        _run_rounds(runners, result, protocol, say)
    return result


def _open(
    runner: _Runner, engine: Engine, case: Case, threads: int, protocol: Protocol
) -> npt.NDArray[np.float32] | None:
    """Open and warm up; the logits, or None with the failure noted. Leaves the worker paused."""
    entry, ask = runner.entry, runner.worker.ask
    try:
        entry.settings = ask("open", engine.module, str(case.folder), threads, timeout_s=_OPEN_S)
        output: npt.NDArray[np.float32] = ask("output", timeout_s=_OPEN_S)
        seconds = ask("warm_up", protocol.warm_up_s)
    except WorkerError as error:
        entry.failure = str(error)
        return None
    runner.worker.pause()
    runner.settle = max(2, math.ceil(protocol.settle_s / seconds))
    runner.runs = max(3, round(protocol.turn_s / seconds))
    return output


def _agrees(
    entry: Entry, output: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], case: Case
) -> bool:
    """True within the bound of rounding; else the failure is noted."""
    if output.shape != expected.shape:
        entry.failure = f"wrong result: shape {output.shape}; expected {expected.shape}"
        return False
    difference = float(np.abs(output.astype(np.float64) - expected).max(initial=0.0))
    entry.error = difference / case.bound
    if not entry.error <= 1:  # not a number is a failure too
        entry.failure = (
            f"wrong result: logits differ from ours by {difference:.2g}; float32 rounding explains "
            f"{case.bound:.2g}"
        )
        return False
    return True


def _run_rounds(
    runners: list[_Runner], result: CaseResult, protocol: Protocol, say: Report
) -> None:
    """Time everyone in rotating order, one process awake at a time."""
    try:
        result.peak_gflops = _peak(runners, result)
        for index in range(protocol.rounds):
            say(f"{result.case.model}: round {index + 1} of {protocol.rounds}")
            shift = index % len(runners)
            for runner in [*runners[shift:], *runners[:shift]]:
                if runner.entry.failure is None:
                    _take_turn(runner, index)
        peaks = [result.peak_gflops, _peak(runners, result)]
        result.peak_gflops = max((peak for peak in peaks if peak is not None), default=None)
    except KeyboardInterrupt:
        result.interrupted = True


def _take_turn(runner: _Runner, index: int) -> None:
    """One round's runs of one engine."""
    try:
        runner.entry.rounds[index] = _awake(runner, "time", runner.settle, runner.runs)
        runner.entry.peak_memory = _awake(runner, "peak_memory")
    except WorkerError as error:
        runner.entry.failure = f"in round {index + 1}: {error}"


def _peak(runners: list[_Runner], result: CaseResult) -> float | None:
    """GFLOP/s of our fused-multiply-add loop on the measured CPUs, if the engine has one."""
    ours = next(runner for runner in runners if runner.entry is result.ours)
    peak = _awake(ours, "peak_gflops", result.threads)
    return None if peak is None else float(peak)


def _awake(runner: _Runner, request: str, *arguments: Any) -> Any:
    runner.worker.resume()
    try:
        return runner.worker.ask(request, *arguments)
    finally:
        runner.worker.pause()

"""Runs a case: converts, opens, compares, then times all engines in interleaved rounds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.case import Case
from benchmarks.runtimes.fidelity import judged
from benchmarks.runtimes.measurement import Around, CaseResult, Entry
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


# Rounds are short, since machines change their speed within seconds.
FULL = Protocol(rounds=60, turn_s=0.2, settle_s=0.03, warm_up_s=1.0)
QUICK = Protocol(rounds=24, turn_s=0.1, settle_s=0.02, warm_up_s=0.3)


def convert(
    case: Case,
    engines: Sequence[str],
    threads: Sequence[int],
    cpus: Sequence[int],
    isa: str | None,
    say: Report,
) -> dict[str, str]:
    """Write the case in every engine's format, each in a process of its own.

    Returns the engines that cannot take part, with the reason.
    """
    reasons: dict[str, str] = {}
    for name in engines:
        engine = find_engine(name)
        missing = engine.missing(case.dtype)
        if missing is not None:
            reasons[name] = f"{missing} is not installed"
            continue
        mark = case.folder / f"{name}.written"  # of an earlier command, where folders are kept
        if mark.exists():
            continue
        say(f"{case.model}: writing for {name}")
        try:
            environment = {"OMP_NUM_THREADS": str(len(cpus)), **engine.isa_environment(isa)}
            with WorkerProcess(cpus, environment) as worker:
                arguments = (engine.module, str(case.folder), list(threads))
                worker.ask("write", *arguments, timeout_s=_OPEN_S)
            mark.write_text(f"{engine.version()}\n")
        except WorkerError as error:
            reasons[name] = f"cannot convert: {error}"
    return reasons


@dataclass
class _Runner:
    """An engine's worker and its entry."""

    worker: WorkerProcess
    entry: Entry
    around: Around


def measure(
    case: Case,
    engines: Sequence[str],
    threads: int,
    cpus: Sequence[int],
    isa: str | None,
    protocol: Protocol,
    unavailable: dict[str, str],
    say: Report,
    around: Around = Around(),  # noqa: B008 - immutable
) -> CaseResult:
    """Time ``engines``, ours among them, and ours a second time as the null run.

    Ctrl-C during the rounds ends them; the result then covers what was done. WorkerError if our
    own engine cannot run.
    """
    entries = [Entry(n, find_engine(n).version(), failure=unavailable.get(n)) for n in engines]
    again = Entry(OURS, find_engine(OURS).version())
    result = CaseResult(case, threads, list(cpus), entries, again, isa, around=around)
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
            runner = _Runner(worker, entry, around)
            output = _open(runner, engine, case, threads, protocol)
            if output is not None and case.dtype != "float32":
                _judge(runner, case)
            runner.worker.pause()
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
    """Open and warm up; the logits, or None with the failure noted."""
    entry, ask = runner.entry, runner.worker.ask
    try:
        entry.settings = ask("open", engine.module, str(case.folder), threads, timeout_s=_OPEN_S)
        output: npt.NDArray[np.float32] = ask("output", timeout_s=_OPEN_S)
        beside = runner.around.beside
        if beside is not None:
            module = find_engine(beside).module
            ask("open_beside", module, str(case.folder), threads, timeout_s=_OPEN_S)
        ask("time", protocol.warm_up_s, 0.0, runner.around.pause_ms / 1e3, timeout_s=_OPEN_S)
    except WorkerError as error:
        entry.failure = str(error)
        return None
    return output


def _judge(runner: _Runner, case: Case) -> None:
    """How near the held-out images' logits are to float32's."""
    try:
        logits = runner.worker.ask("judge", str(case.folder), timeout_s=_OPEN_S)
        runner.entry.fidelity = judged(case.folder, logits)
    except WorkerError as error:
        runner.entry.failure = f"cannot be judged: {error}"


def _agrees(
    entry: Entry, output: npt.NDArray[np.float32], expected: npt.NDArray[np.float32], case: Case
) -> bool:
    """True within the bound of rounding, of int8 if its logits could be judged; else the failure is
    noted.
    """
    if output.shape != expected.shape:
        entry.failure = f"wrong result: shape {output.shape}; expected {expected.shape}"
        return False
    if case.bound is None:
        if entry.failure is None and not np.isfinite(output).all():
            entry.failure = "wrong result: logits that are not finite"
        return entry.failure is None
    difference = float(np.abs(output.astype(np.float64) - expected).max(initial=0.0))
    entry.error = difference / case.bound
    if not entry.error <= 1:  # not a number is a failure too
        entry.failure = (
            f"wrong result: logits differ from ours by {difference:.2g}; rounding explains "
            f"{case.bound:.2g}"
        )
        return False
    return True


def _run_rounds(
    runners: list[_Runner], result: CaseResult, protocol: Protocol, say: Report
) -> None:
    """Time everyone in rotating order, one process awake at a time."""
    try:
        for index in range(protocol.rounds):
            say(f"{result.case.model}: round {index + 1} of {protocol.rounds}")
            shift = index % len(runners)
            for runner in [*runners[shift:], *runners[:shift]]:
                if runner.entry.failure is None:
                    _take_turn(runner, index, protocol)
            if result.ours.failure is not None:
                return  # nothing is left to compare with
            result.peak_gflops = max(result.peak_gflops or 0, _peak(runners, result))
    except KeyboardInterrupt:
        result.interrupted = True


def _take_turn(runner: _Runner, index: int, protocol: Protocol) -> None:
    """One round's runs of one engine."""
    try:
        pause_s = runner.around.pause_ms / 1e3
        samples = _awake(runner, "time", protocol.settle_s, protocol.turn_s, pause_s)
        runner.entry.rounds[index] = samples
        runner.entry.cpu_ns[index] = _awake(runner, "cpu_per_run")
        runner.entry.peak_memory = _awake(runner, "peak_memory")
    except WorkerError as error:
        runner.entry.failure = f"in round {index + 1}: {error}"


def _peak(runners: list[_Runner], result: CaseResult) -> float:
    """GFLOP/s of our fused-multiply-add loop on the measured CPUs; a millisecond's work."""
    ours = next(runner for runner in runners if runner.entry is result.ours)
    return float(_awake(ours, "peak_gflops", result.threads))


def _awake(runner: _Runner, request: str, *arguments: Any) -> Any:
    runner.worker.resume()
    try:
        return runner.worker.ask(request, *arguments)
    finally:
        runner.worker.pause()

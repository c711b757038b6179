"""The whole comparison, for the command line and for notebooks."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from mobileone.util.checks import at_least
from mobileone.util.machine.environment import fingerprint

from benchmarks.runtimes.busy import busy_cpus, kept_busy
from benchmarks.runtimes.case import Case, kept_case
from benchmarks.runtimes.cold_start import cold_starts
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.harness import FULL, QUICK, convert, measure
from benchmarks.runtimes.measurement import Around
from benchmarks.runtimes.registry import DEFAULT, OURS, find_engine
from benchmarks.runtimes.report import Report
from benchmarks.runtimes.worker_process import WorkerError

__all__ = ["compare"]

_COLD_STARTS = {True: 7, False: 20}


def compare(
    models: Sequence[str],
    *,
    threads: Sequence[int] = (1,),
    batches: Sequence[int] = (1,),
    size: int | None = None,
    engines: Sequence[str] = DEFAULT,
    isa: str | None = None,
    cpus: Sequence[int] | None = None,
    busy: int = 0,
    pause: Sequence[float] = (0.0,),
    beside: str | None = None,
    quick: bool = False,
    cold_start: bool = False,
    seed: int = 0,
    dtype: str = "float32",
    folder: str | os.PathLike[str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Measure every model at every batch size and number of threads; shows itself as tables.

    Args:
        models: names of variants (seeded weights), checkpoints, or "digits", the trained network
            that ships with the package; the fused form is measured.
        threads: numbers of threads, each on as many physical cores.
        batches: images per run.
        size: height and width; None takes each model's own.
        engines: names of `registry.ENGINES`; ours always takes part.
        isa: "avx2" or "avx512": what the engines are held to that can be held.
        cpus: the CPUs to choose from; None means this process's affinity mask.
        busy: of the CPUs of every number of threads above this, so many are kept busy by another
            process meanwhile.
        pause: milliseconds between two runs, each a case of its own.
        beside: an engine that runs before every run, in the process of the measured one.
        quick: fewer and shorter rounds.
        cold_start: also time cold starts, at the first batch size and number of threads.
        seed: of weights and input.
        dtype: "float32", "bfloat16" or "int8": of products; engines that cannot be set to it are
            left out. Below float32 every engine is judged on held-out images, too.
        folder: where networks are written and kept, so that the next command with the same models,
            batches, size, seed and dtype finds them; None: in a temporary one.
        say: is told what is going on.

    Ctrl-C returns what was measured until then, marked ``interrupted``.

    Raises:
        ValueError, CheckpointError, FileNotFoundError: a bad argument or model, before anything is
            measured.
    """
    names = list(dict.fromkeys([OURS, *engines]))
    if dtype not in find_engine(OURS).dtypes:
        raise ValueError(f"dtype is {dtype!r}; expected one of {find_engine(OURS).dtypes}")
    names = [name for name in names if dtype in find_engine(name).dtypes]
    chosen = {count: choose_cpus(at_least("threads", count, 1), cpus) for count in threads}
    arguments = {
        "models": list(models),
        "threads": list(threads),
        "batches": list(batches),
        "size": size,
        "engines": names,
        "isa": isa,
        "busy": at_least("busy", busy, 0),
        "pause": [_pause(ms) for ms in pause],
        "beside": beside,
        "quick": quick,
        "seed": seed,
        "dtype": dtype,
    }
    protocol = QUICK if quick else FULL
    report = Report(arguments, protocol.to_dict(), fingerprint())
    with tempfile.TemporaryDirectory(prefix="mobileone-runtimes-") as temporary:
        try:
            place = Path(temporary if folder is None else folder)
            cases = _write_cases(place, models, batches, size, seed, dtype, say)
            for case in cases:
                written = list(dict.fromkeys([*names, *([beside] if beside else [])]))
                unavailable = convert(case, written, threads, chosen[max(chosen)], isa, say)
                for count, where in chosen.items():
                    for ms in pause:
                        around = Around(ms, beside)
                        _measure(report, case, names, count, where, around, unavailable, say)
                if cold_start and case.batch == batches[0] and not report.interrupted:
                    able = [name for name in names if name not in unavailable]
                    count = threads[0]
                    report.cold[case.model] = cold_starts(
                        case, able, count, chosen[count], isa, _COLD_STARTS[quick], say
                    )
        except KeyboardInterrupt:
            report.interrupted = True
    return report


def _pause(milliseconds: float) -> float:
    if not 0 <= milliseconds <= 10_000:
        raise ValueError(f"pause has {milliseconds:g}; expected 0 to 10000 ms")
    return milliseconds


def _write_cases(
    folder: Path,
    models: Sequence[str],
    batches: Sequence[int],
    size: int | None,
    seed: int,
    dtype: str,
    say: Callable[[str], None],
) -> list[Case]:
    cases: list[Case] = []
    for source in models:
        for batch in batches:
            say(f"{source}: writing batch {batch}")
            place = folder / str(len(cases))
            place.mkdir(parents=True, exist_ok=True)
            cases.append(kept_case(source, batch, size, seed, place, dtype))
    return cases


def _measure(
    report: Report,
    case: Case,
    engines: Sequence[str],
    threads: int,
    cpus: Sequence[int],
    around: Around,
    unavailable: dict[str, str],
    say: Callable[[str], None],
) -> None:
    """Add a case to the report, or the reason why our own engine cannot run it."""
    protocol = QUICK if report.arguments["quick"] else FULL
    isa = report.arguments["isa"]
    busy = busy_cpus(cpus, report.arguments["busy"])
    try:
        with kept_busy(busy):
            result = measure(case, engines, threads, cpus, isa, protocol, unavailable, say, around)
    except WorkerError as error:
        report.failures.append(f"{case.model}, batch {case.batch}, {threads} threads: {error}")
        return
    result.busy = busy
    report.cases.append(result)
    if result.interrupted:
        raise KeyboardInterrupt

"""Cold start: from process start to the first result, over what Python with NumPy takes alone."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.runtimes.case import Case
from benchmarks.runtimes.registry import find_engine
from benchmarks.runtimes.worker_process import ROOT, WorkerError, child_environment, confined

__all__ = ["BARE", "ColdStart", "cold_starts"]

BARE = "NumPy alone"
_TIMEOUT_S = 300.0


@dataclass
class ColdStart:
    """Per repetition (by index) the seconds to the first result; the largest memory in bytes."""

    engine: str
    seconds: dict[int, float] = field(default_factory=dict)
    peak_memory: int = 0
    failure: str | None = None

    def over(self, bare: ColdStart) -> list[float]:
        """Seconds above ``bare`` of the same repetition."""
        return [s - bare.seconds[i] for i, s in self.seconds.items() if i in bare.seconds]

    def median_over_ms(self, bare: ColdStart) -> float | None:
        """Median of `over` in ms; None without repetitions."""
        over = self.over(bare)
        return 1e3 * float(np.median(over)) if over else None

    def min_over_ms(self, bare: ColdStart) -> float | None:
        """Difference of the two shortest starts in ms; None without repetitions."""
        if not self.seconds or not bare.seconds:
            return None
        return 1e3 * (min(self.seconds.values()) - min(bare.seconds.values()))


def cold_starts(
    case: Case,
    engines: Sequence[str],
    threads: int,
    cpus: Sequence[int],
    isa: str | None,
    repetitions: int,
    say: Callable[[str], None],
) -> list[ColdStart]:
    """Start every engine ``repetitions`` times, interleaved in rotating order, NumPy alone too.

    A first, unrecorded start of each brings its files into the page cache. Ctrl-C ends it early.
    """
    starts = [ColdStart(BARE), *(ColdStart(name) for name in engines)]
    try:
        for index in range(-1, repetitions):
            say(f"{case.model}: cold start {max(index + 1, 0)} of {repetitions}")
            shift = max(index, 0) % len(starts)
            for start in [*starts[shift:], *starts[:shift]]:
                if start.failure is None:
                    _repeat(start, index, case, threads, cpus, isa)
    except KeyboardInterrupt:
        pass
    return starts


def _repeat(
    start: ColdStart, index: int, case: Case, threads: int, cpus: Sequence[int], isa: str | None
) -> None:
    environment = {"OMP_NUM_THREADS": str(threads)}
    call = "import numpy, os; os.write({fd}, b'.')\n"
    call += "from benchmarks.runtimes.cold_child import finish; finish({fd})"
    if start.engine != BARE:
        engine = find_engine(start.engine)
        environment |= engine.isa_environment(isa)
        arguments = f"{engine.module!r}, {str(case.folder)!r}, {threads}, {{fd}}"
        call = f"from benchmarks.runtimes.cold_child import main; main({arguments})"
    try:
        seconds, memory = timed_start(
            lambda fd: [sys.executable, "-c", call.format(fd=fd)], environment, cpus, ROOT
        )
    except WorkerError as error:
        start.failure = str(error)
        return
    if index >= 0:
        start.seconds[index] = seconds
        start.peak_memory = max(start.peak_memory, memory)


def timed_start(
    command: Callable[[int], list[str]],
    environment: Mapping[str, str],
    cpus: Sequence[int],
    folder: Path | None = None,
) -> tuple[float, int]:
    """Seconds until a process reports its first result, and the number that it reports after.

    Args:
        command: the process, given the descriptor that it writes "." and then the number to.
        environment: what changes in that of the process; see `child_environment`.
        cpus: that it runs on.
        folder: where it starts; None: in the current one.

    Raises:
        WorkerError: it ended without a result, or took too long.
    """
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as log, open(read_end, "rb", buffering=0) as answer:
        with confined(cpus):
            began = time.perf_counter()
            process = subprocess.Popen(
                command(write_end),
                env=child_environment(environment),
                cwd=folder,
                stdout=log,
                stderr=log,
                pass_fds=[write_end],
                start_new_session=True,
            )
        os.close(write_end)
        try:
            ready, _, _ = select.select([answer], [], [], _TIMEOUT_S)
            first = answer.read(1) if ready else b""
            seconds = time.perf_counter() - began
            rest = answer.readall() if first else b""
        finally:
            process.kill()
            process.wait()
        if first != b"." or not rest:
            log.seek(0)
            lines = log.read().decode(errors="replace").strip().splitlines()
            raise WorkerError(lines[-1][:200] if lines else "no first result")
        return seconds, int(rest)

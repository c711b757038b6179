"""Cold starts: import, open a stored network, first result; in rotating order."""

from __future__ import annotations

import os
import select
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.builds.build import Build
from benchmarks.runtimes.worker_process import WorkerError, child_environment, confined

__all__ = ["STARTS", "Starts", "cold_starts"]

# What is opened, and the file that `child.store` writes for it.
STARTS = {"plan": "plan", "weights": "fused.safetensors"}
_TIMEOUT_S = 300.0


@dataclass
class Starts:
    """Of every runner: seconds of each start, and the largest peak of resident memory in KiB."""

    kind: str
    seconds: list[list[float]] = field(default_factory=list)
    peak_kib: list[int] = field(default_factory=list)


def cold_starts(
    runners: Sequence[tuple[Build, str]],
    kind: str,
    shape: Sequence[int],
    cpus: Sequence[int],
    repetitions: int,
    say: Callable[[str], None],
) -> Starts:
    """Start every runner (a build, and the folder of its files) that often, after one unrecorded.

    WorkerError for a start without a result.
    """
    starts = Starts(kind, [[] for _ in runners], [0] * len(runners))
    for index in range(-1, repetitions):
        say(f"cold start from {kind}: {max(index + 1, 0)} of {repetitions}")
        for step in range(len(runners)):
            which = (index + step) % len(runners)
            build, folder = runners[which]
            path = os.path.join(folder, STARTS[kind])
            seconds, kib = _start(build, [kind, path, "x".join(map(str, shape))], cpus)
            if index >= 0:
                starts.seconds[which].append(seconds)
                starts.peak_kib[which] = max(starts.peak_kib[which], kib)
    return starts


def _start(build: Build, arguments: list[str], cpus: Sequence[int]) -> tuple[float, int]:
    """Seconds from the process's start to its first result, and its peak memory in KiB."""
    read_end, write_end = os.pipe()
    with tempfile.TemporaryFile() as log, open(read_end, "rb", buffering=0) as answer:
        with confined(cpus):
            began = time.perf_counter()
            process = subprocess.Popen(
                [*build.command("cold_child.py"), *arguments, str(write_end)],
                env=child_environment(build.environment(1)),
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

"""Cold starts: import, open a stored network, first result; in rotating order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from benchmarks.builds.build import Build
from benchmarks.runtimes.cold_start import timed_start

__all__ = ["STARTS", "Starts", "cold_starts"]

# What is opened, and the file that `child.store` writes for it.
STARTS = {"plan": "plan", "weights": "fused.safetensors"}


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
            arguments = [kind, path, "x".join(map(str, shape))]
            seconds, kib = timed_start(
                partial(_command, build, arguments), build.environment(1), cpus
            )
            if index >= 0:
                starts.seconds[which].append(seconds)
                starts.peak_kib[which] = max(starts.peak_kib[which], kib)
    return starts


def _command(build: Build, arguments: list[str], descriptor: int) -> list[str]:
    return [*build.command("cold_child.py"), *arguments, str(descriptor)]

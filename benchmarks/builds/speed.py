"""Is one build faster? Processes that stay alive take turns, the old build twice."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from benchmarks.builds.build import Build
from benchmarks.builds.cold import STARTS, Starts, cold_starts
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.ratios import Null, Ratio, null_of, ratio_of
from benchmarks.runtimes.worker_process import WorkerProcess

__all__ = ["NETWORKS", "Turns", "cold_table", "measure", "measure_cold", "table"]

NETWORKS = ("mobileone_s0", "mobileone_s1", "mobileone_s4", "mobileone_mu0", "mobilevit_xxs")
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Turns:
    """How often and how long each process measures."""

    rounds: int = 15
    settle_s: float = 0.05
    turn_s: float = 0.3


@dataclass
class Speed:
    """Nanoseconds by round of the old build, of the old build again, and of the new one."""

    network: str
    threads: int
    old: dict[int, list[int]] = field(default_factory=dict)
    again: dict[int, list[int]] = field(default_factory=dict)
    new: dict[int, list[int]] = field(default_factory=dict)

    @property
    def ratio(self) -> Ratio | None:
        """Time of the new build over the old one's: below 1 the new one is faster."""
        return ratio_of(self.new, self.old)

    @property
    def null(self) -> Null | None:
        """The old build over itself."""
        return null_of(self.again, self.old)


def measure(
    old: Build,
    new: Build,
    networks: Sequence[str],
    threads: Sequence[int],
    turns: Turns,
    say: Callable[[str], None],
    isa: str | None = None,
) -> list[Speed]:
    """Interleaved rounds of the fused networks, batch 1. WorkerError if a build cannot run one."""
    results = []
    for count in threads:
        for network in networks:
            results.append(Speed(network, count))
            _measure(results[-1], (old, old, new), turns, say, isa)
    return results


def _measure(
    speed: Speed,
    builds: Sequence[Build],
    turns: Turns,
    say: Callable[[str], None],
    isa: str | None,
) -> None:
    cpus = choose_cpus(speed.threads)
    with contextlib.ExitStack() as stack:
        runners: list[tuple[WorkerProcess, dict[int, list[int]]]] = []
        for build, rounds in zip(builds, (speed.old, speed.again, speed.new), strict=True):
            process = stack.enter_context(build.start(cpus, speed.threads, isa))
            shape = input_shape(speed.network)
            process.ask("prepare", speed.network, shape, speed.threads, timeout_s=_TIMEOUT_S)
            process.pause()
            runners.append((process, rounds))
        for index in range(turns.rounds):
            say(f"{speed.network}, {speed.threads} threads: round {index + 1} of {turns.rounds}")
            shift = index % len(runners)
            for process, rounds in [*runners[shift:], *runners[:shift]]:
                process.resume()
                rounds[index] = process.ask("time", turns.settle_s, turns.turn_s)
                process.pause()


def input_shape(network: str) -> tuple[int, int, int, int]:
    """One image of the size that the network is published for."""
    size = 256 if network.startswith("mobilevit") else 224
    return (1, 3, size, size)


def measure_cold(
    old: Build, new: Build, networks: Sequence[str], repetitions: int, say: Callable[[str], None]
) -> dict[str, list[Starts]]:
    """Cold starts by network, each build from files of its own, the old build twice."""
    cpus = choose_cpus(1)
    results = {}
    for network in networks:
        shape = input_shape(network)
        with tempfile.TemporaryDirectory() as old_files, tempfile.TemporaryDirectory() as new_files:
            for build, folder in ((old, old_files), (new, new_files)):
                with build.start(cpus, 1) as process:
                    process.ask("store", network, shape, folder, timeout_s=_TIMEOUT_S)
            runners = [(old, old_files), (old, old_files), (new, new_files)]
            results[network] = [
                cold_starts(runners, kind, shape, cpus, repetitions, say) for kind in STARTS
            ]
    return results


def table(speeds: Sequence[Speed]) -> str:
    """Markdown. Ratios are medians over the rounds with their 95 % interval, and of the shortest
    runs; null is the old build over itself, and the spread what it may differ by.
    """
    lines = [
        "| network | threads | old, min / median ms | new | new / old | minima | null | spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for speed in speeds:
        ratio, null = speed.ratio, speed.null
        if ratio is None or null is None:
            continue
        lines.append(
            f"| {speed.network} | {speed.threads} | {_times(speed.old)} | {_times(speed.new)} "
            f"| {ratio.median:.3f} ({ratio.low:.3f}–{ratio.high:.3f}) | {ratio.of_minima:.3f} "
            f"| {null.ratio.median:.3f} ({null.ratio.of_minima:.3f}) "
            f"| {100 * (null.spread - 1):.1f} % |"
        )
    return "\n".join(lines)


def _times(rounds: dict[int, list[int]]) -> str:
    samples = sorted(sample for samples in rounds.values() for sample in samples)
    return f"{samples[0] * 1e-6:.3f} / {samples[len(samples) // 2] * 1e-6:.3f}"


def cold_table(results: dict[str, list[Starts]]) -> str:
    """Markdown; seconds as ms, memory as MiB."""
    lines = [
        "| network | from | old, min / median ms | old again | new | peak MiB, old | again | new |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for network, of_network in results.items():
        for starts in of_network:
            times = [
                f"{1e3 * min(s):.1f} / {1e3 * sorted(s)[len(s) // 2]:.1f}" for s in starts.seconds
            ]
            memory = [f"{kib / 1024:.1f}" for kib in starts.peak_kib]
            lines.append(f"| {network} | {starts.kind} | " + " | ".join(times + memory) + " |")
    return "\n".join(lines)

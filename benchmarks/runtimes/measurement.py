"""What was measured: per engine every sample, per case everything needed to judge it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np

from benchmarks.runtimes.case import Case
from benchmarks.runtimes.fidelity import Fidelity
from benchmarks.runtimes.ratios import Null, Ratio, null_of, ratio_of
from benchmarks.runtimes.registry import OURS, find_engine

__all__ = ["Around", "CaseResult", "Entry"]


@dataclass(frozen=True)
class Around:
    """What happens between two runs: a pause, and a run of another engine in the same process."""

    pause_ms: float = 0.0
    beside: str | None = None

    def __str__(self) -> str:
        parts = [f"{self.pause_ms:g} ms between runs"] if self.pause_ms > 0 else []
        parts += [f"beside {self.beside}"] if self.beside is not None else []
        return ", ".join(parts)


@dataclass
class Entry:
    """An engine in a case. ``failure`` says why it has no (more) samples.

    ``error`` is max |logits - ours| over the bound of rounding: 1 at most, or it is not timed; None
    of int8. ``fidelity``: of less than float32.
    """

    engine: str
    version: str | None
    settings: dict[str, str] = field(default_factory=dict)
    error: float | None = None
    fidelity: Fidelity | None = None
    rounds: dict[int, list[int]] = field(default_factory=dict)
    cpu_ns: dict[int, int] = field(default_factory=dict)
    peak_memory: int | None = None
    failure: str | None = None

    @property
    def samples_ms(self) -> list[float]:
        """Every sample, in the order of the rounds."""
        return [ns / 1e6 for index in sorted(self.rounds) for ns in self.rounds[index]]

    @property
    def median_ms(self) -> float:
        """Of all samples."""
        return float(np.median(self.samples_ms))

    @property
    def cpu_ms(self) -> float:
        """CPU time of its process per run, the median over the rounds."""
        return float(np.median(list(self.cpu_ns.values()))) / 1e6

    @property
    def min_ms(self) -> float:
        """The shortest run."""
        return min(self.samples_ms)


@dataclass
class CaseResult:
    """A case at one number of threads; ``again`` is the second process of our own engine.

    ``isa`` is the instruction set that the engines were held to where they can be, ``load_average``
    the system's over the minute before, ``busy`` which of the CPUs another process was kept on.
    """

    case: Case
    threads: int
    cpus: list[int]
    entries: list[Entry]
    again: Entry
    isa: str | None = None
    load_average: float = field(default_factory=lambda: os.getloadavg()[0])
    peak_gflops: float | None = None
    interrupted: bool = False
    busy: list[int] = field(default_factory=list)
    around: Around = Around()

    @property
    def ours(self) -> Entry:
        """Our engine's entry, the denominator of all ratios."""
        return next(entry for entry in self.entries if entry.engine == OURS)

    @property
    def null(self) -> Null | None:
        """Ours against ours."""
        return null_of(self.again.rounds, self.ours.rounds)

    def held(self, entry: Entry) -> bool:
        """False for an engine that uses what the CPU has, although an ISA was asked for."""
        return self.isa is None or bool(find_engine(entry.engine).isa_environment(self.isa))

    def ratio(self, entry: Entry) -> Ratio | None:
        """An engine's time relative to ours."""
        return None if entry is self.ours else ratio_of(entry.rounds, self.ours.rounds)

"""What the tests of several modules use."""

from __future__ import annotations

from benchmarks.runtimes import harness
from benchmarks.runtimes.case import Case
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.measurement import CaseResult, Entry

SHORT = harness.Protocol(rounds=2, turn_s=1e-3, settle_s=1e-3, warm_up_s=1e-3)
CPUS = choose_cpus(1)
ORT = "onnxruntime"


def silent(text: str) -> None:
    """Takes the place of the progress line."""


def run(case: Case, engines: list[str], isa: str | None = None) -> CaseResult:
    unavailable = harness.convert(case, engines, [1], CPUS, isa, silent)
    return harness.measure(case, engines, 1, CPUS, isa, SHORT, unavailable, silent)


def by_name(result: CaseResult, name: str) -> Entry:
    return next(entry for entry in result.entries if entry.engine == name)

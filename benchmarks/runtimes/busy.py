"""CPUs that something else computes on, as on a shared machine."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from benchmarks.runtimes.worker_process import confined

__all__ = ["busy_cpus", "kept_busy"]


def busy_cpus(cpus: Sequence[int], count: int) -> list[int]:
    """The last ``count`` of a measurement's ``cpus``, or none if that would leave none free."""
    return list(cpus[len(cpus) - count :]) if 0 < count < len(cpus) else []


@contextlib.contextmanager
def kept_busy(cpus: Sequence[int]) -> Iterator[None]:
    """One process per CPU that never waits, confined to it, while the context lasts."""
    processes = []
    try:
        for cpu in cpus:
            with confined([cpu]):
                processes.append(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()

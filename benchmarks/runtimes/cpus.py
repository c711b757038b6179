"""The CPUs that a measurement is confined to."""

from __future__ import annotations

import os
from collections.abc import Sequence

from mobileone.util.machine.threads import physical_cores

__all__ = ["choose_cpus"]


def choose_cpus(threads: int, cpus: Sequence[int] | None = None) -> list[int]:
    """One CPU per thread, each on a physical core of its own.

    Taken from the end of ``cpus`` (default: those this process may use), since the first CPU
    serves most interrupts. ValueError if there are not enough cores.
    """
    allowed = sorted(os.sched_getaffinity(0))
    missing = sorted(set(cpus or ()) - set(allowed))
    if missing:
        raise ValueError(f"cpus has {missing}; expected some of {allowed}")
    chosen: list[int] = []
    for cpu in reversed(sorted(set(cpus)) if cpus else allowed):
        if len(chosen) < threads and physical_cores([*chosen, cpu]) > len(chosen):
            chosen.append(cpu)
    if len(chosen) < threads:
        raise ValueError(
            f"threads is {threads}; expected at most {len(chosen)}, the physical cores of CPUs "
            f"{sorted(cpus or allowed)}"
        )
    return sorted(chosen)

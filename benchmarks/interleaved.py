"""Processes that take one step at a time, in turn: nobody runs beside the one that is timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

# Seconds and processor seconds of a step, peak memory that training adds, peak of the process.
Row = list[float]


def _environ(threads: int) -> dict[str, str]:
    # Idle threads of OpenMP are not to spin on the next variant's time.
    return {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": str(threads)}


def resident(which: str) -> float:
    """VmRSS (now) or VmHWM (its peak) of this process in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(which))


def prepare(module: str, variants: Sequence[str], arguments: Sequence[str], threads: int) -> None:
    """The first step of each variant, nothing measured: caches of compiled code are full then.

    Args:
        module, variants, arguments, threads: as `interleaved`'s.
    """
    for name in variants:
        command = [sys.executable, "-m", module, *arguments, "--worker", name]
        environ = _environ(threads)
        subprocess.run(command, stdin=subprocess.DEVNULL, env=environ, check=True)


def interleaved(
    module: str, variants: Sequence[str], arguments: Sequence[str], threads: int, rounds: int
) -> tuple[dict[str, list[Row]], list[float]]:
    """What each variant writes for each round, and the machine's load.

    Args:
        module: run as `python -m module *arguments --worker variant`; writes a row for each line.
        variants: which.
        arguments: of the command line.
        threads: that a step may use.
        rounds: of one step each.
    """
    environ = _environ(threads)
    command = [sys.executable, "-m", module, *arguments, "--worker"]
    rows: dict[str, list[Row]] = {name: [] for name in variants}
    loads = [os.getloadavg()[0]]
    workers = {
        name: subprocess.Popen(
            [*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ
        )
        for name in variants
    }
    try:
        for index in range(rounds):
            first = index % len(variants)
            for name in (*variants[first:], *variants[:first]):
                process = workers[name]
                assert process.stdin is not None
                assert process.stdout is not None
                process.stdin.write("\n")
                process.stdin.flush()
                line = process.stdout.readline()
                if not line:
                    raise RuntimeError(f"the process of {name!r} ended; see its output above")
                rows[name].append(json.loads(line))
            loads.append(os.getloadavg()[0])
    finally:
        for process in workers.values():
            process.kill()
            process.wait()
    return rows, loads

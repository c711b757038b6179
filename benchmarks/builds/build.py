"""A build: the package as one Python interpreter has it installed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.runtimes.worker_process import WorkerProcess

__all__ = ["Build"]

_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Build:
    """``python``: the interpreter. ValueError if there is none."""

    python: str

    def __post_init__(self) -> None:
        if not os.access(self.python, os.X_OK):
            raise ValueError(f"python is {self.python!r}; expected an interpreter to run")

    def start(self, cpus: Sequence[int], threads: int, isa: str | None = None) -> WorkerProcess:
        """A process of this build that answers the requests of `child`."""
        environment = self.environment(threads, isa)
        return WorkerProcess(cpus, environment, self.command("child.py"))

    def environment(self, threads: int, isa: str | None = None) -> dict[str, str]:
        """Of its processes: threads of calls that name none, and the instruction set."""
        environment = {"OMP_NUM_THREADS": str(threads)}
        return environment if isa is None else environment | {"MOBILEONE_MAX_ISA": isa}

    def command(self, script: str, *arguments: str) -> list[str]:
        """Isolated: neither PYTHONPATH nor the current folder may bring another build in."""
        return [self.python, "-I", str(_HERE / script), *arguments]

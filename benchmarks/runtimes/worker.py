"""The process that runs one engine; `worker_process` is the parent's side of it.

Requests (number, name, arguments) and answers (number, "ok", value) are pickled tuples over an
inherited socket. An exception is answered with (number, "error", its text), and the process goes
on, so that the parent decides.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes.fidelity import HELD_OUT

_PR_SET_PDEATHSIG = 1


def main(descriptor: int) -> None:
    """Answer requests until the parent hangs up."""
    # The parent stops idle workers; a stopped process must not outlive a killed parent.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ctrl-C is for the parent, which ends its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    connection = Connection(descriptor)
    worker = _Worker()
    while True:
        try:
            number, name, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (number, "ok", getattr(worker, name)(*arguments))
        except Exception as error:
            answer = (number, "error", f"{type(error).__name__}: {error}".splitlines()[0])
        connection.send(answer)


class _Worker:
    """One method per request."""

    def __init__(self) -> None:
        self.session: Any = None
        self.neighbour: Any = None
        self.cpu_ns = 0

    def write(self, module: str, folder: str, threads: list[int]) -> None:
        """Convert the network in ``folder`` to the engine's format."""
        _engine(module).write(Path(folder), threads)

    def open(self, module: str, folder: str, threads: int) -> dict[str, str]:
        """Open the engine's file on the input in ``folder``; returns the settings in force."""
        path = Path(folder)
        x = np.load(path / "x.npy")
        self.session = _engine(module).Session(path, x, threads)
        return dict(self.session.settings)

    def open_beside(self, module: str, folder: str, threads: int) -> None:
        """Open another engine in this process, which runs before every timed run."""
        path = Path(folder)
        self.neighbour = _engine(module).Session(path, np.load(path / "x.npy"), threads)

    def output(self) -> Any:
        """The logits of one run."""
        self.session.run()
        return self.session.output()

    def judge(self, folder: str) -> Any:
        """The logits of the held-out images in ``folder``, batch by batch."""
        path = Path(folder)
        x, images = np.load(path / "x.npy"), np.load(path / HELD_OUT)
        found = []
        for start in range(0, len(images), len(x)):
            chunk = images[start : start + len(x)]
            self.session.feed(np.resize(chunk, x.shape))
            self.session.run()
            found.append(np.array(self.session.output()[: len(chunk)]))
        self.session.feed(x)
        return np.concatenate(found)

    def time(self, settle_s: float, turn_s: float, pause_s: float = 0.0) -> list[int]:
        """Nanoseconds of each run of ``turn_s`` seconds, after ``settle_s`` untimed seconds.

        Before each the neighbour runs, if there is one, and ``pause_s`` seconds pass.
        """

        def before() -> None:
            if self.neighbour is not None:
                self.neighbour.run()
            if pause_s > 0:
                time.sleep(pause_s)

        gc.disable()
        try:
            _samples(self.session.run, settle_s, before)
            start = time.process_time_ns()
            samples = _samples(self.session.run, turn_s, before)
            self.cpu_ns = (time.process_time_ns() - start) // len(samples)
            return samples
        finally:
            gc.enable()

    def cpu_per_run(self) -> int:
        """Nanoseconds of CPU time per run of the last turn: all threads', also between runs."""
        return self.cpu_ns

    def peak_gflops(self, threads: int) -> float:
        """Of our own fused-multiply-add loop on these CPUs."""
        from mobileone._core import peak_gflops

        return float(peak_gflops(threads))

    def peak_memory(self) -> int:
        """The largest resident set of this process so far, in bytes."""
        from benchmarks.runtimes.memory import peak_resident_bytes

        return peak_resident_bytes()


def _engine(module: str) -> Any:
    return importlib.import_module(f"benchmarks.runtimes.engines.{module}")


def _samples(run: Callable[[], None], seconds: float, before: Callable[[], None]) -> list[int]:
    """Nanoseconds of each run, after `before`, until the time is over; of one at least."""
    samples: list[int] = []
    clock = time.perf_counter_ns
    end = clock() + int(seconds * 1e9)
    while not samples or clock() < end:
        before()
        start = clock()
        run()
        samples.append(clock() - start)
    return samples


if __name__ == "__main__":
    main(int(sys.argv[1]))
    os._exit(0)  # runtimes' own threads may hang the interpreter's shutdown

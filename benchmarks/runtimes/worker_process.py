"""The parent's side of a worker: start, ask, pause, end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "WorkerError", "WorkerProcess", "child_environment", "confined"]

# The folder that holds the `benchmarks` package.
ROOT = Path(__file__).resolve().parents[2]

# What runs in the process; the number of its socket's descriptor is added.
_WORKER = (sys.executable, "-m", "benchmarks.runtimes.worker")


class WorkerError(RuntimeError):
    """A worker failed: its exception, its exit status, or its silence."""


class WorkerProcess:
    """A process with an engine, confined to ``cpus``. A context manager: leaving it ends it.

    Requests are numbered, and an answer carries its request's number.
    """

    def __init__(
        self,
        cpus: Sequence[int],
        environment: Mapping[str, str],
        command: Sequence[str] = _WORKER,
    ) -> None:
        ours, theirs = Pipe()
        self._connection: Connection = ours
        self._requests = 0
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        with confined(cpus):
            self._process = self._start(theirs, environment, command)
        theirs.close()

    def _start(
        self, theirs: Connection, environment: Mapping[str, str], command: Sequence[str]
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command, str(theirs.fileno())],
            env=child_environment(environment),
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, request: str, *arguments: Any, timeout_s: float = 120) -> Any:
        """The answer to a request of `worker`; WorkerError instead of a wrong or missing one.

        A worker that does not answer in time is ended: what it would say or use up later must not
        reach another measurement.
        """
        try:
            status, value = self._receive(self._send(request, *arguments), timeout_s)
        except TimeoutError:
            self._end()
            raise WorkerError(f"no answer to {request!r} within {timeout_s:g} s") from None
        except (EOFError, OSError):
            raise WorkerError(f"died at {request!r}: {self._last_words()}") from None
        if status != "ok":
            raise WorkerError(value)
        return value

    def _send(self, request: str, *arguments: Any) -> int:
        """Ask without waiting; the request's number."""
        self._requests += 1
        self._connection.send((self._requests, request, arguments))
        return self._requests

    def _receive(self, number: int, timeout_s: float) -> tuple[str, Any]:
        """The answer to that request, past those to others; TimeoutError if it does not come."""
        deadline = time.monotonic() + timeout_s
        while True:
            if not self._connection.poll(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
            answered, status, value = self._connection.recv()
            if answered == number:
                return status, value

    def pause(self) -> None:
        """Stop the process with all its threads: a pool that spins for work takes no CPU time."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run again."""
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End the process; a stopped one too."""
        self._connection.close()
        self._end()
        self._log.close()

    def _end(self) -> None:
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last_words(self) -> str:
        """Exit status or signal, and the last line that the process wrote."""
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "still running, but its pipe is closed"
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        return f"{how}, {lines[-1][:200]}" if lines else how


@contextlib.contextmanager
def confined(cpus: Sequence[int]) -> Iterator[None]:
    """Processes that this thread starts meanwhile are confined to ``cpus`` from their first moment.

    Runtimes count CPUs while they are imported.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def child_environment(changes: Mapping[str, str]) -> dict[str, str]:
    """This process's environment without limits on threads and ISA, plus ``changes``.

    What the user exported for other programs must not hold back some engines and not others.
    """
    cleared = ("OMP_", "GOMP_", "KMP_", "MKL_", "ONEDNN_", "DNNL_", "ATEN_", "MOBILEONE_MAX_ISA")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(cleared)}
    return kept | dict(changes)

"""Processes that decode: started, fed, replaced when they die."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from mobileone.evaluation.views import Decoding
from mobileone.evaluation.worker import Slots

__all__ = ["Decoder", "shared_slots"]

# Of one task, after which its pictures are taken for the reason.
_ATTEMPTS = 3
# Not through multiprocessing: its ways either fork a process with threads or import the caller's
# script again.
_START = """import sys
sys.path[:] = {path!r}
from mobileone.evaluation.worker import main
main({pipe}, {memory})"""


def shared_slots(decoding: Decoding, batch_size: int, count: int) -> tuple[int, Slots]:
    """New shared memory of that many slots: its descriptor, and the slots."""
    memory = os.memfd_create("mobileone-pixels")
    return memory, Slots(memory, decoding, batch_size, count)


class Decoder:
    """One process, used by one thread."""

    def __init__(self, decoding: Decoding, batch_size: int, memory: int) -> None:
        self._setup = decoding, batch_size
        self._memory = memory
        self._closed = False
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        code = _START.format(path=sys.path, pipe=theirs.fileno(), memory=self._memory)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code],
                pass_fds=(theirs.fileno(), self._memory),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        self._connection = Connection(ours.detach())
        self._connection.send(self._setup)

    def __call__(self, slot: int, sources: Sequence[Any]) -> tuple[dict[int, str], int, float]:
        """Decodes pictures into a slot: what is wrong with which, how many are rotated, seconds.

        Raises:
            RuntimeError: processes die of these pictures, one after the other.
        """
        for _ in range(_ATTEMPTS):
            try:
                self._connection.send((slot, list(sources)))
                answer: tuple[dict[int, str], int, float] = self._connection.recv()
                return answer
            except (EOFError, ConnectionError):
                if self._closed:
                    raise
                status = self._stop()
                self._start()
        first = sources[0] if isinstance(sources[0], str | tuple) else "(bytes)"
        raise RuntimeError(
            f"{_ATTEMPTS} processes that decoded {len(sources)} pictures from {first} on died, the "
            f"last with status {status}"
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def _stop(self) -> int:
        self._connection.close()
        with suppress(ProcessLookupError):
            self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        """Ends the process, at once; from any thread."""
        self._closed = True
        self._process.kill()
        self._process.wait()

"""A result that a thread works on meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Later"]

T = TypeVar("T")


class Later(Generic[T]):
    """What a function gives, which a thread of its own begins to compute; worth it where that lets
    go of the interpreter's lock.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._made: list[T] = []
        self._error: BaseException | None = None
        self._thread: threading.Thread | None = threading.Thread(target=self._run, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # there are no more threads: `result` computes it
            self._thread = None

    def _run(self) -> None:
        try:
            self._made.append(self._make())
        except BaseException as error:
            self._error = error

    def result(self) -> T:
        """The result, once it is there; raises what the function raised."""
        if self._thread is not None:
            self._thread.join()
        elif not self._made:
            self._run()
        if self._error is not None:
            raise self._error
        return self._made[0]

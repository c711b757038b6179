"""Whole pictures that are made ready while a network looks at those before them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from mobileone.data.preprocessing import ImageError
from mobileone.util.progress import StatusLine, bar

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Pictures"]

T = TypeVar("T")


class Pictures(Generic[T]):
    """Number and content of each picture, in their order. Pillow lets other threads run.

    Attributes:
        unreadable: (key, reason) of those that could not be read.

    Args:
        count: of the pictures.
        read: makes one ready.
        key: what it is called.
        stop: whether one that cannot be read ends it.
        workers: threads that read; at least one.
        progress: as in `StatusLine`.
    """

    def __init__(
        self,
        count: int,
        read: Callable[[int], T],
        key: Callable[[int], str],
        *,
        stop: bool,
        workers: int,
        progress: bool | None,
    ) -> None:
        self.unreadable: list[tuple[str, str]] = []
        self._count, self._read, self._key, self._stop = count, read, key, stop
        self._workers, self._line = max(1, workers), StatusLine(progress)

    def __iter__(self) -> Iterator[tuple[int, T]]:
        with ThreadPoolExecutor(self._workers, "mobileone-data") as pool:
            waiting: deque[tuple[int, Future[Any]]] = deque()
            numbers = iter(range(self._count))
            try:
                while True:
                    while len(waiting) < 2 * self._workers:
                        number = next(numbers, None)
                        if number is None:
                            break
                        waiting.append((number, pool.submit(self._read, number)))
                    if not waiting:
                        return
                    yield from self._finished(*waiting.popleft())
            finally:
                for _, future in waiting:
                    future.cancel()
                self._line.close()

    def _finished(self, number: int, future: Future[Any]) -> Iterator[tuple[int, T]]:
        if self._line.due:
            self._line.write(f"{bar(number / self._count)} {number}/{self._count}")
        try:
            found = future.result()
        except (ImageError, OSError) as error:
            if self._stop:
                raise
            self.unreadable.append((self._key(number), str(error)))
            return
        yield number, found

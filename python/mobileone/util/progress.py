"""A line on stderr that is written over and over."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["StatusLine", "bar"]

_INTERVAL_S = 0.2
_WIDTH = 24


def bar(share: float) -> str:
    """[####....] for a share from 0 to 1."""
    done = int(_WIDTH * min(1.0, max(0.0, share)))
    return f"[{'#' * done}{'.' * (_WIDTH - done)}]"


class StatusLine:
    """A line that moves in terminals; elsewhere only lines that stay.

    Attributes:
        shown: whether anything is written.
        moves: whether the line is.

    Args:
        show: None shows it in terminals only, True everywhere, False nowhere.
        stream: where to; default: stderr.
    """

    def __init__(self, show: bool | None = None, stream: TextIO | None = None) -> None:
        self.stream = stream if stream is not None else sys.stderr
        terminal = self.stream is not None and self.stream.isatty()
        self.shown = terminal if show is None else show
        self.moves = self.shown and terminal
        self._last = 0.0
        self._length = 0

    @property
    def due(self) -> bool:
        """Whether the line moves, and it is time that it does."""
        now = time.monotonic()
        if not self.moves or now - self._last < _INTERVAL_S:
            return False
        self._last = now
        return True

    def write(self, text: str, end: str = "") -> None:
        """Show `text` in place of what was there; `end` "\\n" makes it stay."""
        if not self.shown:
            return
        if self.moves:
            padding = " " * max(0, self._length - len(text))
            self.stream.write(f"\r{text}{padding}" + (end or "\r"))
            self._length = 0 if end else len(text)
        else:
            self.stream.write(text + end)
        self.stream.flush()

    def close(self) -> None:
        """Leaves the cursor at the start of an empty line."""
        if self.moves and self._length:
            self.write("")

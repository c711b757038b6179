"""A line on stderr that says how far a training is."""

from __future__ import annotations

import sys
import time
from typing import TextIO

__all__ = ["Progress"]

_INTERVAL_S = 0.2
_WIDTH = 24


class Progress:
    """A bar in terminals, which every update moves; elsewhere a line per epoch.

    Args:
        epochs: of the whole training.
        show: None shows it in terminals only, True everywhere, False nowhere.
        stream: where to; default: stderr.
    """

    def __init__(self, epochs: int, show: bool | None = None, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self.stream = stream if stream is not None else sys.stderr
        terminal = self.stream is not None and self.stream.isatty()
        self.shown = terminal if show is None else show
        self.moves = self.shown and terminal
        self._last = 0.0
        self._length = 0

    def move(self, epoch: int, batch: int, batches: int | None, loss: float) -> None:
        """After an update: in which epoch, from 0; of how many batches, if that is known."""
        now = time.monotonic()
        if not self.moves or now - self._last < _INTERVAL_S:
            return
        self._last = now
        share = min(1.0, batch / batches) if batches else 0.0
        done = int(_WIDTH * share)
        count = f"{batch}/{batches}" if batches else str(batch)
        bar = "#" * done + "." * (_WIDTH - done)
        self._write(f"epoch {epoch + 1}/{self.epochs} [{bar}] {count}  loss {loss:.4f}")

    def finish_epoch(self, text: str) -> None:
        """A line that stays."""
        if self.shown:
            self._write(f"epoch {text}", end="\n")

    def close(self) -> None:
        """Leaves the cursor at the start of a line."""
        if self.moves and self._length:
            self._write("", end="")

    def _write(self, text: str, end: str = "") -> None:
        if self.moves:
            padding = " " * max(0, self._length - len(text))
            self.stream.write(f"\r{text}{padding}" + (end or "\r"))
            self._length = 0 if end else len(text)
        else:
            self.stream.write(text + end)
        self.stream.flush()

"""A line on stderr that says how far a training is."""

from __future__ import annotations

from typing import TextIO

from mobileone.util.progress import StatusLine, bar

__all__ = ["Progress"]


class Progress:
    """A bar in terminals, which every update moves; elsewhere a line per epoch.

    Args:
        epochs: of the whole training.
        show: None shows it in terminals only, True everywhere, False nowhere.
        stream: where to; default: stderr.
    """

    def __init__(self, epochs: int, show: bool | None = None, stream: TextIO | None = None) -> None:
        self.epochs = epochs
        self._line = StatusLine(show, stream)

    def move(self, epoch: int, batch: int, batches: int | None, loss: float) -> None:
        """After an update: in which epoch, from 0; of how many batches, if that is known."""
        if self._line.due:
            share = batch / batches if batches else 0.0
            count = f"{batch}/{batches}" if batches else str(batch)
            where = f"epoch {epoch + 1}/{self.epochs} {bar(share)} {count}"
            self._line.write(f"{where}  loss {loss:.4f}")

    def finish_epoch(self, text: str) -> None:
        """A line that stays."""
        self._line.write(f"epoch {text}", end="\n")

    def close(self) -> None:
        """Leaves the cursor at the start of a line."""
        self._line.close()

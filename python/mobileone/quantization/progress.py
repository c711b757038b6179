"""How far a quantization is, on stderr."""

from __future__ import annotations

from types import TracebackType

from mobileone.util.progress import StatusLine, bar

__all__ = ["Progress"]


class Progress:
    """A bar over so many steps.

    Args:
        steps: how many there are.
        show: None shows it in terminals only, True everywhere, False nowhere.
    """

    def __init__(self, steps: int, show: bool | None) -> None:
        self._steps, self._done = max(steps, 1), 0
        self._line = StatusLine(show)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._line.close()

    def step(self) -> None:
        """One more is done."""
        self._done += 1
        last = self._done == self._steps
        if self._line.due or (last and self._line.shown):
            share = self._done / self._steps
            self._line.write(f"quantize {bar(share)} {share:.0%}", "\n" if last else "")

"""How far an evaluation is: pictures per second, how busy either side is, how long it will take."""

from __future__ import annotations

import time

from mobileone.evaluation.batches import Load
from mobileone.util.progress import StatusLine, bar

__all__ = ["Watch"]


class Watch:
    """Counts and times an evaluation.

    Args:
        load: what is done.
        count: of all pictures, if that is known.
        cores: that both sides share.
        show: as in `StatusLine`.
    """

    def __init__(self, load: Load, count: int | None, cores: int, show: bool | None) -> None:
        self._load, self._count, self._cores = load, count, cores
        self._line = StatusLine(show)
        self._start = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.perf_counter() - self._start

    def tick(self) -> None:
        """Moves the line, if it is time to."""
        if self._line.due:
            self._line.write(self.text())

    def text(self) -> str:
        """What the line says."""
        done, seconds = self._load.pictures, self.seconds
        rate = (done - self._load.resumed) / seconds if seconds else 0.0
        parts = [f"{bar(done / self._count)} {done}/{self._count}" if self._count else str(done)]
        parts.append(f"{rate:.0f} images/s")
        parts.append(self.shares(seconds))
        if self._count and rate:
            parts.append(f"{_clock((self._count - done) / rate)} left")
        return "  ".join(parts)

    def shares(self, seconds: float) -> str:
        """How much of the cores' time went to either side."""
        whole = max(seconds, 1e-9) * self._cores
        decoding = min(1.0, self._load.decoding_s / whole)
        inference = min(1.0, self._load.inference_s / whole)
        return f"decoding {decoding:.0%}, inference {inference:.0%} of {self._cores} cores"

    def close(self) -> str:
        """Ends the line; what to note of the run."""
        self._line.close()
        seconds, resumed = self.seconds, self._load.resumed
        done = self._load.pictures - resumed
        rate = done / seconds if seconds else 0.0
        before = f"{resumed} pictures from before; " if resumed else ""
        return f"{before}{done} pictures in {seconds:.1f} s, {rate:.0f}/s; {self.shares(seconds)}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"

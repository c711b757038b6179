"""What `profile` returns: times per step; as table, JSON, DataFrame, trace and plot."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.util.files import write_json
from mobileone.util.tables import (
    Column,
    Table,
    bytes_text,
    chain_text,
    count_text,
    number_text,
    threads_text,
)

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["Profile", "ProfileRow"]

SCHEMA = "mobileone.profile/1"
OVERHEAD = "overhead"


@dataclass(frozen=True)
class ProfileRow:
    """One step of the plan, or the overhead: wall time that belongs to no step.

    ``time_us`` is in microseconds and ``percent`` its share of the wall time; ``macs`` counts the
    multiply-adds and ``bytes`` the memory read and written, weights included; ``gflops`` counts
    one multiply-add as 2 FLOP and ``peak_percent`` compares it with the measured peak.
    """

    name: str
    kind: str
    implementation: str
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]
    macs: int
    bytes: int
    time_us: float
    percent: float
    gflops: float | None
    peak_percent: float | None


class Profile:
    """The outcome of `profile`; prints as a table. ``rows`` end with the overhead row.

    The overhead is what the steps leave of the wall time. Times are whole nanoseconds, so that the
    rows add up to the wall time exactly.
    """

    def __init__(
        self,
        steps: Sequence[Mapping[str, Any]],
        wall_ns: int,
        protocol: Mapping[str, Any],
        peak_gflops: float | None,
        fingerprint: Mapping[str, Any],
    ) -> None:
        overhead = {"name": OVERHEAD, "kind": OVERHEAD, "implementation": ""}
        steps_ns = [round(step["time_ns"]) for step in steps]
        self._times_ns = [*steps_ns, wall_ns - sum(steps_ns)]
        self.wall_ns = wall_ns
        self.protocol = dict(protocol)
        self.peak_gflops = peak_gflops
        self.fingerprint = dict(fingerprint)
        self.rows = [
            _row(step, ns, wall_ns, peak_gflops)
            for step, ns in zip([*steps, overhead], self._times_ns, strict=True)
        ]

    @property
    def label(self) -> str:
        """The model's name or file name."""
        return str(self.protocol["label"])

    @property
    def threads(self) -> int:
        """The number of threads of the plan."""
        return int(self.protocol["threads"])

    @property
    def wall_us(self) -> float:
        """The wall time of a run, in microseconds."""
        return self.wall_ns / 1e3

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; ``times_ns`` adds up to ``wall_ns``."""
        return {
            "schema": SCHEMA,
            "protocol": self.protocol,
            "wall_ns": self.wall_ns,
            "times_ns": self._times_ns,
            "peak_gflops": self.peak_gflops,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "fingerprint": self.fingerprint,
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per step, one column per field of `ProfileRow`; needs pandas."""
        import pandas

        return pandas.DataFrame([dataclasses.asdict(row) for row in self.rows])

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the steps, end to end, as a trace for chrome://tracing or ui.perfetto.dev."""
        events: list[dict[str, Any]] = []
        start_ns = 0
        for row, ns in zip(self.rows, self._times_ns, strict=True):
            # Rounding can leave an overhead below zero, which a trace cannot show.
            if ns >= 0:
                events.append(_trace_event(row, start_ns, ns))
                start_ns += ns
        trace = {"traceEvents": events, "displayTimeUnit": "ns", "otherData": self.protocol}
        write_json(path, trace, indent=None)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the slowest steps as bars; needs matplotlib. Returns the axes."""
        from mobileone.figures import plots

        title = f"{self.label}: {self.wall_us:.0f} µs per run, {threads_text(self.threads)}"
        return plots.plot_profile(self.rows, title, ax)

    def table(self) -> Table:
        """One row per step, with the first and last of many operators; a total at the end."""
        titles = ["shapes", "MACs", "bytes", "µs", "% of time", "GFLOP/s", "% of peak"]
        left = [Column(title, "left") for title in ("step", "kind", "implementation")]
        cells = [_cells(row) for row in self.rows]
        accuracy = self.protocol.get("int8")
        notes = [f"in int8: {accuracy}"] if accuracy else []
        return Table(self._title(), [*left, *map(Column, titles)], [*cells, self._total()], notes)

    def _title(self) -> str:
        p = self.protocol
        shape = "x".join(map(str, p["input_shape"]))
        peak = "" if self.peak_gflops is None else f", peak {self.peak_gflops:.0f} GFLOP/s"
        threads = threads_text(self.threads)
        return (
            f"profile of {p['label']} ({p['form']}), {shape}, {p['dtype']}, {threads}, "
            f"faster half of {p['runs']} runs{peak}"
        )

    def _total(self) -> list[str]:
        macs, moved = (sum(getattr(row, name) for row in self.rows) for name in ("macs", "bytes"))
        gflops = _gflops(macs, self.wall_ns)
        counts = [count_text(macs), bytes_text(moved), number_text(self.wall_us, 1)]
        rates = ["100.0", number_text(gflops, 1), number_text(_share(gflops, self.peak_gflops), 1)]
        return ["total", "", "", "", *counts, *rates]

    def __repr__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        return self.table().to_html()


def _row(step: Mapping[str, Any], ns: int, wall_ns: int, peak: float | None) -> ProfileRow:
    macs = int(step.get("macs", 0))
    gflops = _gflops(macs, ns)
    return ProfileRow(
        name=str(step["name"]),
        kind=str(step["kind"]),
        implementation=str(step["implementation"]),
        input_shapes=tuple(tuple(shape) for shape in step.get("input_shapes", ())),
        output_shape=tuple(step.get("output_shape", ())),
        macs=macs,
        bytes=int(step.get("bytes", 0)),
        time_us=ns / 1e3,
        percent=100.0 * ns / wall_ns,
        gflops=gflops,
        peak_percent=_share(gflops, peak),
    )


def _gflops(macs: int, ns: int) -> float | None:
    return 2 * macs / ns if macs > 0 and ns > 0 else None


def _share(gflops: float | None, peak: float | None) -> float | None:
    return None if gflops is None or not peak else 100.0 * gflops / peak


def _cells(row: ProfileRow) -> list[str]:
    shapes = " ".join("x".join(map(str, shape)) for shape in row.input_shapes)
    if row.output_shape:
        shapes += " -> " + "x".join(map(str, row.output_shape))
    counts = [count_text(row.macs or None), bytes_text(row.bytes or None)]
    rates = [number_text(v, 1) for v in (row.time_us, row.percent, row.gflops, row.peak_percent)]
    chains = [chain_text(row.name), chain_text(row.kind)]
    return [*chains, row.implementation, shapes, *counts, *rates]


def _trace_event(row: ProfileRow, start_ns: int, ns: int) -> dict[str, Any]:
    arguments = dataclasses.asdict(row)
    arguments = {k: v for k, v in arguments.items() if k not in ("name", "kind", "time_us")}
    return {
        "name": row.name,
        "cat": row.kind,
        "ph": "X",
        "ts": start_ns / 1e3,
        "dur": ns / 1e3,
        "pid": 1,
        "tid": 1,
        "args": arguments,
    }

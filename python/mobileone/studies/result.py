"""What the studies return: measured latencies beside the paper's."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.measure.benchmark_result import BenchmarkResult, BenchmarkRow
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, count_text, number_text, threads_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["StudyResult", "StudyRow", "machine_notes"]


@dataclass(frozen=True)
class StudyRow:
    """One network. ``ratio`` is its time over the first network's, as `BenchmarkRow` defines it.

    ``paper`` maps the title of each of the paper's columns to its number, None where there is none;
    ``paper_ratio`` is the first column's number over the first network's.
    """

    label: str
    params: int
    macs: int
    min_ms: float
    median_ms: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    paper: dict[str, float | None]
    paper_ratio: float | None


class StudyResult(Tables):
    """Latencies of networks measured in interleaved rounds, beside those of the paper.

    ``benchmark`` holds every sample, the protocol and the machine's fingerprint.
    """

    def __init__(
        self,
        title: str,
        benchmark: BenchmarkResult,
        paper: Mapping[str, Mapping[str, float]],
        notes: Sequence[str] = (),
    ) -> None:
        self.title = title
        self.benchmark = benchmark
        self.notes = list(notes)
        self.rows = [_row(row, benchmark.rows[0], paper) for row in benchmark.rows]

    @property
    def interrupted(self) -> bool:
        """True if Ctrl-C ended the measurement early."""
        return self.benchmark.interrupted

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The machine and the versions."""
        return self.benchmark.fingerprint

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; ``benchmark`` has the samples."""
        return {
            "schema": "mobileone.study/1",
            "title": self.title,
            "notes": self.notes,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "benchmark": self.benchmark.to_dict(),
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per network, one column per number; needs pandas."""
        import pandas

        rows = [dataclasses.asdict(row) for row in self.rows]
        return pandas.DataFrame([row | row.pop("paper") for row in rows])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Times relative to the first network, here and in the paper; needs matplotlib."""
        from mobileone.figures.studies import plot_ratios

        return plot_ratios(self.rows, self.title, ax)

    def tables(self) -> list[Table]:
        """The one table."""
        columns = [Column("network", "left"), Column("parameters"), Column("MACs")]
        columns += [Column("min ms"), Column("median ms"), Column("ratio"), Column("95 % interval")]
        columns += [Column("paper ratio"), *map(Column, self.rows[0].paper)]
        cells = [
            [
                row.label,
                count_text(row.params),
                count_text(row.macs),
                number_text(row.min_ms),
                number_text(row.median_ms),
                number_text(row.ratio, 2),
                f"{number_text(row.ratio_low, 2)} .. {number_text(row.ratio_high, 2)}",
                number_text(row.paper_ratio, 2),
                *(number_text(value, 2) for value in row.paper.values()),
            ]
            for row in self.rows
        ]
        return [Table(self.title, columns, cells, [*self.notes, *machine_notes(self.benchmark)])]


def machine_notes(benchmark: BenchmarkResult) -> list[str]:
    """How it was measured, and on what."""
    protocol, cpu = benchmark.protocol, benchmark.fingerprint["cpu"]
    threads = threads_text(protocol["threads"])
    how = f"{protocol['dtype']}, batch {protocol['batch_size']}, {threads}"
    notes = [f"{how}, {protocol['rounds']} interleaved rounds, on {cpu['model']}"]
    if benchmark.interrupted:
        notes.append("interrupted: the statistics cover the runs made until then")
    return notes


def _row(
    row: BenchmarkRow, first: BenchmarkRow, paper: Mapping[str, Mapping[str, float]]
) -> StudyRow:
    numbers = {title: column.get(row.label) for title, column in paper.items()}
    latencies = next(iter(paper.values()), {})
    own, reference = latencies.get(row.label), latencies.get(first.label)
    return StudyRow(
        label=row.label,
        params=row.params,
        macs=row.macs,
        min_ms=row.min_ms,
        median_ms=row.median_ms,
        ratio=row.ratio,
        ratio_low=row.ratio_low,
        ratio_high=row.ratio_high,
        paper=numbers,
        paper_ratio=None if own is None or reference is None else own / reference,
    )

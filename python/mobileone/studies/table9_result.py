"""What `studies.table9` returns: latencies of published networks, per engine, beside the paper."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.measure.benchmark_result import BenchmarkResult
from mobileone.studies import paper
from mobileone.studies.correlation_result import CorrelationResult
from mobileone.studies.result import machine_notes
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, count_text, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["OURS", "Table9Result", "Table9Row"]

OURS = "mobileone"


@dataclass(frozen=True)
class Table9Row:
    """A network. ``min_ms`` and ``median_ms`` by engine; ``ratios``: the median over the rounds of
    (another engine's median / ours). ``paper``: its row of the paper, if it has one.
    """

    label: str
    params: int
    macs: int
    min_ms: dict[str, float]
    median_ms: dict[str, float]
    ratios: dict[str, float]
    paper: paper.Published | None

    @property
    def top1(self) -> float | None:
        """The accuracy that the paper gives, of trained weights."""
        return None if self.paper is None else self.paper.top1


class Table9Result(Tables):
    """Latencies of published networks in several engines.

    ``benchmarks`` maps a network to its `BenchmarkResult`, an engine per row, ours first.
    """

    def __init__(self, benchmarks: Mapping[str, BenchmarkResult]) -> None:
        self.benchmarks = dict(benchmarks)
        self.rows = [_row(name, result) for name, result in self.benchmarks.items()]
        self.engines = list(self.rows[0].min_ms)

    @property
    def interrupted(self) -> bool:
        """True if Ctrl-C ended the measurement early."""
        return any(result.interrupted for result in self.benchmarks.values())

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The machine and the versions."""
        return next(iter(self.benchmarks.values())).fingerprint

    def front(self, engine: str = OURS) -> list[str]:
        """Names of the networks that none is both faster than and as accurate as, fastest first."""
        best, names = float("-inf"), []
        rated = [row for row in self.rows if row.top1 is not None and engine in row.min_ms]
        for row in sorted(rated, key=lambda row: (row.min_ms[engine], -(row.top1 or 0.0))):
            if row.top1 is not None and row.top1 > best:
                best = row.top1
                names.append(row.label)
        return names

    def correlation(self, engine: str = OURS) -> CorrelationResult:
        """Table 1 over these networks; ValueError for fewer than 3."""
        measured = [
            dataclasses.replace(found, label=name)
            for name, result in self.benchmarks.items()
            for found in result.measurements
            if found.label == engine
        ]
        first = next(iter(self.benchmarks.values()))
        joined = BenchmarkResult(measured, first.protocol, self.fingerprint, self.interrupted)
        return CorrelationResult(joined, engine=engine)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; ``benchmarks`` have the samples."""
        rows = [
            {**dataclasses.asdict(row), "paper": row.paper and row.paper._asdict()}
            for row in self.rows
        ]
        return {
            "schema": "mobileone.table9/1",
            "rows": rows,
            "fronts": {engine: self.front(engine) for engine in self.engines},
            "benchmarks": {name: found.to_dict() for name, found in self.benchmarks.items()},
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per network, one column per number; needs pandas."""
        import pandas

        lines = []
        for row in self.rows:
            line: dict[str, Any] = {"label": row.label, "params": row.params, "macs": row.macs}
            line |= {f"{engine}_min_ms": ms for engine, ms in row.min_ms.items()}
            line |= {f"{engine}_median_ms": ms for engine, ms in row.median_ms.items()}
            line |= {f"{engine}_over_ours": ratio for engine, ratio in row.ratios.items()}
            told = {} if row.paper is None else row.paper._asdict()
            lines.append(line | {f"paper_{name}": value for name, value in told.items()})
        return pandas.DataFrame(lines)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Accuracy over latency here, and the networks that none surpasses; needs matplotlib."""
        from mobileone.figures.studies import plot_front

        points = [(row.label, row.min_ms[OURS], row.top1) for row in self.rows]
        return plot_front(points, self.front(), ax)

    def tables(self) -> list[Table]:
        """The one table."""
        others = [engine for engine in self.engines if engine != OURS]
        columns = [Column("network", "left"), Column("parameters"), Column("MACs")]
        columns += [Column("min ms"), Column("median ms")]
        columns += [Column(f"{other} / ours") for other in others]
        columns += [
            Column(f"paper {what}") for what in ("top-1 %", "CPU ms", "GPU ms", "mobile ms")
        ]
        rows = [self._cells(row, others) for row in sorted(self.rows, key=_time)]
        notes = ["paper: Table 9, Xeon Gold 5118, RTX 2080 Ti, iPhone 12; weights here are seeded"]
        notes += [f"none is faster and as accurate as: {', '.join(self.front())}"]
        first = next(iter(self.benchmarks.values()))
        return [Table("published networks", columns, rows, notes + machine_notes(first))]

    def _cells(self, row: Table9Row, others: list[str]) -> list[str]:
        told = row.paper
        numbers = (
            [None] * 4 if told is None else [told.top1, told.cpu_ms, told.gpu_ms, told.mobile_ms]
        )
        return [
            row.label,
            count_text(row.params),
            count_text(row.macs),
            number_text(row.min_ms[OURS]),
            number_text(row.median_ms[OURS]),
            *(number_text(row.ratios.get(other), 2) for other in others),
            *(number_text(value, 2) for value in numbers),
        ]


def _time(row: Table9Row) -> float:
    return row.min_ms[OURS]


def _row(name: str, result: BenchmarkResult) -> Table9Row:
    first = result.rows[0]
    return Table9Row(
        label=name,
        params=first.params,
        macs=first.macs,
        min_ms={row.label: row.min_ms for row in result.rows},
        median_ms={row.label: row.median_ms for row in result.rows},
        ratios={row.label: row.ratio for row in result.rows[1:] if row.ratio is not None},
        paper=paper.TABLE9.get(name),
    )

"""Latency against FLOPs and parameters: ranks, and how far one follows from the other."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING, Any

from mobileone.measure.benchmark_result import BenchmarkResult
from mobileone.studies import paper
from mobileone.studies.result import machine_notes
from mobileone.studies.spearman import RankCorrelation, rank_correlation
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, count_text, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["CorrelationResult"]


class CorrelationResult(Tables):
    """Spearman's rank correlation of the minimum latency with FLOPs and with parameters.

    ``coefficients`` maps "FLOPs" and "parameters" to a `RankCorrelation`; ``benchmark`` holds the
    latencies, ``engine`` says whose they are where the models are of many families. ValueError for
    fewer than 3 measured models.
    """

    def __init__(self, benchmark: BenchmarkResult, engine: str = "") -> None:
        self.benchmark = benchmark
        self.engine = engine
        latencies = [row.min_ms for row in benchmark.rows]
        self.coefficients: dict[str, RankCorrelation] = {
            "FLOPs": rank_correlation([row.macs for row in benchmark.rows], latencies),
            "parameters": rank_correlation([row.params for row in benchmark.rows], latencies),
        }

    @property
    def interrupted(self) -> bool:
        """True if Ctrl-C ended the measurement early."""
        return self.benchmark.interrupted

    @property
    def fingerprint(self) -> dict[str, Any]:
        """The machine and the versions."""
        return self.benchmark.fingerprint

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "schema": "mobileone.correlation/1",
            "coefficients": {k: dataclasses.asdict(v) for k, v in self.coefficients.items()},
            "paper": {" ".join(k): v._asdict() for k, v in paper.CORRELATIONS.items()},
            "benchmark": self.benchmark.to_dict(),
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per model; needs pandas."""
        return self.benchmark.to_dataframe()[["label", "params", "macs", "min_ms", "median_ms"]]

    def plot(self, ax: Axes | None = None) -> Axes:
        """Latency over MACs, a dot per model; needs matplotlib."""
        from mobileone.figures.studies import plot_correlation

        coefficients = {name: pair.coefficient for name, pair in self.coefficients.items()}
        return plot_correlation(self.benchmark.rows, coefficients, ax)

    def tables(self) -> list[Table]:
        """The coefficients beside the paper's, and the models."""
        return [self._coefficient_table(), self._model_table()]

    def _coefficient_table(self) -> Table:
        columns = [Column("latency", "left")]
        for title in self.coefficients:
            columns += [Column(f"corr. with {title}"), Column("p-value")]
        measured = [c for pair in self.coefficients.values() for c in _cells(pair)]
        name = f"this CPU, {self.engine}" if self.engine else "this CPU"
        rows = [[f"{name}, {len(self.benchmark.rows)} models", *measured]]
        for device in ("mobile", "CPU"):
            pairs = [paper.CORRELATIONS[device, title] for title in self.coefficients]
            rows.append([f"paper, {device}", *(cell for pair in pairs for cell in _cells(pair))])
        notes = ["paper: Table 1, over architectures of many families"]
        if not self.engine:
            notes = [
                f"{notes[0]}; here one family, whose members",
                "differ in size alone, so that latency follows their size",
            ]
        return Table("Spearman rank correlation", columns, rows, notes)

    def _model_table(self) -> Table:
        columns = [Column("model", "left"), *map(Column, ("parameters", "MACs", "min ms"))]
        rows = [
            [row.label, count_text(row.params), count_text(row.macs), number_text(row.min_ms)]
            for row in sorted(self.benchmark.rows, key=lambda row: row.min_ms)
        ]
        return Table("models, the fastest first", columns, rows, machine_notes(self.benchmark))


def _cells(pair: RankCorrelation | paper.Correlation) -> list[str]:
    small = pair.p_value < 0.005
    return [number_text(pair.coefficient, 2), "< 0.01" if small else number_text(pair.p_value, 2)]

"""What `benchmark` returns: raw samples, statistics, ratios; as table, JSON, DataFrame and plot."""

from __future__ import annotations

import dataclasses
import datetime
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, count_text, number_text, threads_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["BenchmarkResult", "BenchmarkRow", "Measurement"]

SCHEMA = "mobileone.benchmark/1"
_BOOTSTRAP_RESAMPLES = 2000
_FORM_NAMES = {"inference": "inference (fused)", "train-time": "train-time (multi-branch)"}


@dataclass
class Measurement:
    """What was timed, and every sample: ``rounds`` maps a round's index to its samples in ns."""

    label: str
    arch: str
    form: str
    params: int
    macs: int
    input_shape: tuple[int, int, int, int]
    threads: int
    load_s: float | None
    compile_s: float
    first_run_s: float
    rounds: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)

    def add(self, index: int, samples: npt.NDArray[np.int64]) -> None:
        """Append samples (ns) to round ``index``."""
        before = self.rounds.get(index, np.empty(0, np.int64))
        self.rounds[index] = np.concatenate([before, samples])

    @property
    def samples(self) -> npt.NDArray[np.int64]:
        """All samples in ns, in the order of the rounds."""
        parts = [self.rounds[index] for index in sorted(self.rounds)]
        return np.concatenate([np.empty(0, np.int64), *parts])

    @property
    def num_runs(self) -> int:
        """The number of samples."""
        return sum(part.size for part in self.rounds.values())


@dataclass(frozen=True)
class BenchmarkRow:
    """One model's statistics. Times in ms; GFLOP/s at the minimum, one multiply-add = 2 FLOP.

    ``ratio`` is the median over the rounds of (this model's median / the first model's median):
    below 1 is faster than the first. ``ratio_low`` and ``ratio_high`` bound it with 95 % confidence
    (bootstrap over the rounds), ``ratio_of_minima`` is the ratio of the two minima.
    """

    label: str
    arch: str
    form: str
    params: int
    macs: int
    input_shape: tuple[int, int, int, int]
    threads: int
    runs: int
    min_ms: float
    median_ms: float
    p10_ms: float
    p90_ms: float
    p99_ms: float
    gflops: float
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    ratio_of_minima: float
    load_ms: float | None
    compile_ms: float
    first_run_ms: float


class BenchmarkResult(Tables):
    """The outcome of `benchmark`; prints as a table.

    ``measurements`` holds the raw samples, ``protocol`` the arguments, ``fingerprint`` the machine;
    ``interrupted`` is True if Ctrl-C ended the measurement early.
    """

    def __init__(
        self,
        measurements: Sequence[Measurement],
        protocol: Mapping[str, Any],
        fingerprint: Mapping[str, Any],
        interrupted: bool = False,
    ) -> None:
        self.measurements = list(measurements)
        self.protocol = dict(protocol)
        self.fingerprint = dict(fingerprint)
        self.interrupted = interrupted
        self.created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        self.rows = [_row(m, self.measurements[0]) for m in self.measurements]

    @property
    def samples(self) -> dict[str, npt.NDArray[np.int64]]:
        """Label -> every sample in ns, in the order measured."""
        return {m.label: m.samples for m in self.measurements}

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values, the samples (ns) per round included."""
        return {
            "schema": SCHEMA,
            "created": self.created,
            "interrupted": self.interrupted,
            "protocol": self.protocol,
            "rows": [dataclasses.asdict(row) for row in self.rows],
            "samples_ns": {
                m.label: {str(i): part.tolist() for i, part in sorted(m.rounds.items())}
                for m in self.measurements
            },
            "fingerprint": self.fingerprint,
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per model, one column per field of `BenchmarkRow`; needs pandas."""
        import pandas

        return pandas.DataFrame([dataclasses.asdict(row) for row in self.rows])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the distribution of the latencies; needs matplotlib. Returns the axes."""
        from mobileone.figures import plots

        p = self.protocol
        title = f"batch {p['batch_size']}, {threads_text(p['threads'])}, {p['dtype']}"
        return plots.plot_latencies(self.rows, title, ax)

    def tables(self) -> list[Table]:
        """The latencies, and what else there is to know about each model."""
        return [_latency_table(self), _model_table(self)]


def _row(m: Measurement, first: Measurement) -> BenchmarkRow:
    samples = m.samples / 1e6
    p10, median, p90, p99 = (float(p) for p in np.percentile(samples, [10, 50, 90, 99]))
    minimum = float(samples.min())
    ratio, low, high = _ratio_to(m, first)
    return BenchmarkRow(
        label=m.label,
        arch=m.arch,
        form=m.form,
        params=m.params,
        macs=m.macs,
        input_shape=m.input_shape,
        threads=m.threads,
        runs=int(samples.size),
        min_ms=minimum,
        median_ms=median,
        p10_ms=p10,
        p90_ms=p90,
        p99_ms=p99,
        gflops=2 * m.macs / (minimum * 1e6),
        ratio=ratio,
        ratio_low=low,
        ratio_high=high,
        ratio_of_minima=minimum / (float(first.samples.min()) / 1e6),
        load_ms=None if m.load_s is None else m.load_s * 1e3,
        compile_ms=m.compile_s * 1e3,
        first_run_ms=m.first_run_s * 1e3,
    )


def _ratio_to(
    m: Measurement, first: Measurement
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Median of the per-round ratios of medians, and its 95 % bootstrap interval.

    Only rounds in which both were measured count; None where there is no such round.
    """
    common = sorted(m.rounds.keys() & first.rounds.keys())
    if not common:
        return None, None, None
    ratios = np.array([np.median(m.rounds[i]) / np.median(first.rounds[i]) for i in common])
    draws = np.random.default_rng(0).choice(ratios, (_BOOTSTRAP_RESAMPLES, ratios.size))
    low, high = np.percentile(np.median(draws, axis=1), [2.5, 97.5])
    return float(np.median(ratios)), float(low), float(high)


def _latency_table(result: BenchmarkResult) -> Table:
    titles = ["min ms", "median ms", "p10", "p90", "p99", "GFLOP/s", "ratio", "95 % interval"]
    columns = [Column("model", "left"), Column("form", "left"), *map(Column, titles)]
    columns += [Column("ratio of minima"), Column("runs")]
    rows = [
        [
            row.label,
            _FORM_NAMES.get(row.form, row.form),
            *(number_text(v) for v in (row.min_ms, row.median_ms)),
            *(number_text(v) for v in (row.p10_ms, row.p90_ms, row.p99_ms)),
            number_text(row.gflops, 1),
            number_text(row.ratio),
            f"{number_text(row.ratio_low)} .. {number_text(row.ratio_high)}",
            number_text(row.ratio_of_minima),
            str(row.runs),
        ]
        for row in result.rows
    ]
    return Table("latency", columns, rows, _notes(result))


def _notes(result: BenchmarkResult) -> list[str]:
    p, cpu = result.protocol, result.fingerprint["cpu"]
    versions = result.fingerprint["versions"]
    threads = f"{threads_text(p['threads'])} ({p['threads_reason']})"
    notes = [
        f"{p['dtype']}, batch {p['batch_size']}, {threads}",
        f"{p['warmup']} warm-up runs, {p['rounds']} interleaved rounds",
        f"on {cpu['model']}, mobileone {versions['mobileone']}, Python {versions['python']}",
    ]
    notes += [f"{label} in int8: {text}" for label, text in p.get("int8", {}).items()]
    if len(result.rows) > 1:
        notes.append(f"ratio: time relative to {result.rows[0].label}, below 1 is faster")
    if result.interrupted:
        notes.append("interrupted: the statistics cover the runs made until then")
    return notes


def _model_table(result: BenchmarkResult) -> Table:
    titles = ["input", "parameters", "MACs", "load ms", "compile ms", "first run ms"]
    rows = [
        [
            row.label,
            "x".join(map(str, row.input_shape)),
            count_text(row.params),
            count_text(row.macs),
            number_text(row.load_ms, 1),
            number_text(row.compile_ms, 1),
            number_text(row.first_run_ms),
        ]
        for row in result.rows
    ]
    return Table("models", [Column("model", "left"), *map(Column, titles)], rows)

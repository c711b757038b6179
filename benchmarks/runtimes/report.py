"""The outcome of a run: JSON with every sample, and tables."""

from __future__ import annotations

import dataclasses
import datetime
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobileone.util.tables import Table

from benchmarks.runtimes.cold_start import BARE, ColdStart
from benchmarks.runtimes.measurement import CaseResult, Entry
from benchmarks.runtimes.ratios import verdict
from benchmarks.runtimes.tables import case_table, cold_table, throughput_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["SCHEMA", "Report", "to_markdown"]

SCHEMA = "mobileone.runtimes/1"


@dataclass(repr=False)
class Report:
    """Everything that one command measured; prints as tables.

    ``cold`` maps a model to its cold starts, ``failures`` has what our own engine could not run.
    """

    arguments: dict[str, Any]
    protocol: dict[str, Any]
    fingerprint: dict[str, Any]
    cases: list[CaseResult] = field(default_factory=list)
    cold: dict[str, list[ColdStart]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    interrupted: bool = False

    def tables(self) -> list[Table]:
        """One table per case, then images/s over batches, then cold starts."""
        tables = [case_table(case) for case in self.cases]
        if len({case.case.batch for case in self.cases}) > 1:
            tables.append(throughput_table(self.cases))
        return tables + [cold_table(model, starts) for model, starts in self.cold.items()]

    def to_dict(self) -> dict[str, Any]:
        """JSON-serialisable; docs/benchmarking.md describes the fields."""
        return {
            "schema": SCHEMA,
            "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "interrupted": self.interrupted,
            "failures": self.failures,
            "arguments": self.arguments,
            "protocol": self.protocol,
            "fingerprint": self.fingerprint,
            "cases": [_case(case) for case in self.cases],
            "cold_start": {
                model: [_start(start, starts) for start in starts]
                for model, starts in self.cold.items()
            },
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict`."""
        Path(path).write_text(json.dumps(self.to_dict(), indent=1) + "\n", encoding="utf-8")

    def to_text(self, render: Callable[[Table], str] = Table.to_text) -> str:
        """The tables, then what they were measured on."""
        cpu, versions = self.fingerprint["cpu"], self.fingerprint["versions"]
        flags = [flag for flag in ("avx2", "avx512f", "amx_tile") if flag in cpu["isa_flags"]]
        isas = ", ".join(flags) or cpu["architecture"]
        software = [f"{name} {versions[name]}" for name in ("mobileone", "python", "numpy")]
        system = self.fingerprint["os"]["system"]
        lines = [
            f"on {cpu['model']} ({isas}), {cpu['physical_cores']} cores; {system}",
            ", ".join(software),
        ]
        lines += [f"failed: {failure}" for failure in self.failures]
        if self.interrupted:
            lines.append("interrupted: the tables cover what was measured until then")
        return "\n\n".join([*(render(table) for table in self.tables()), "\n".join(lines)])

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw every engine's time relative to ours; needs matplotlib. Returns the axes."""
        from benchmarks.runtimes.plot import plot_ratios

        return plot_ratios(self, ax)

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return "".join(table.to_html() for table in self.tables())


def to_markdown(table: Table) -> str:
    """A GitHub table, its title in bold above, its notes as a list below."""
    rules = ["---" if column.align == "left" else "---:" for column in table.columns]
    lines = [[column.title for column in table.columns], rules, *table.rows]
    body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    notes = [f"- {note.strip()}" for note in table.notes]
    return "\n".join([f"**{table.title}**", "", *body, "", *notes])


def _case(result: CaseResult) -> dict[str, Any]:
    case, null = result.case, result.null
    return {
        "model": case.model,
        "arch": case.arch,
        "params": case.params,
        "macs": case.macs,
        "input_shape": list(case.input_shape),
        "dtype": case.dtype,
        "isa": result.isa,
        "bound": case.bound,
        "held_out": case.held_out,
        "float_accuracy": case.float_accuracy,
        "threads": result.threads,
        "cpus": result.cpus,
        "busy_cpus": result.busy,
        "pause_ms": result.around.pause_ms,
        "beside": result.around.beside,
        "interrupted": result.interrupted,
        "load_average": result.load_average,
        "peak_gflops": result.peak_gflops,
        "null": None
        if null is None
        else {**dataclasses.asdict(null.ratio), "spread": null.spread, "quiet": null.quiet},
        "engines": [_entry(entry, result) for entry in [*result.entries, result.again]],
    }


def _entry(entry: Entry, result: CaseResult) -> dict[str, Any]:
    ratio = result.ratio(entry)
    return {
        "engine": entry.engine,
        "null_run": entry is result.again,
        "held_to_isa": result.held(entry),
        "version": entry.version,
        "settings": entry.settings,
        "failure": entry.failure,
        "error_over_bound": entry.error,
        "fidelity": None if entry.fidelity is None else dataclasses.asdict(entry.fidelity),
        "peak_memory_bytes": entry.peak_memory,
        "min_ms": entry.min_ms if entry.rounds else None,
        "median_ms": entry.median_ms if entry.rounds else None,
        "cpu_ms": entry.cpu_ms if entry.rounds else None,
        "time_over_ours": None if ratio is None else dataclasses.asdict(ratio),
        "verdict": verdict(ratio, result.null) if ratio is not None else None,
        "samples_ns": {str(index): samples for index, samples in sorted(entry.rounds.items())},
    }


def _start(start: ColdStart, starts: Sequence[ColdStart]) -> dict[str, Any]:
    bare = next(other for other in starts if other.engine == BARE)
    return {
        "engine": start.engine,
        "failure": start.failure,
        "median_over_bare_ms": start.median_over_ms(bare),
        "min_over_bare_ms": start.min_over_ms(bare),
        "peak_memory_bytes": start.peak_memory or None,
        "seconds": {str(index): value for index, value in sorted(start.seconds.items())},
    }

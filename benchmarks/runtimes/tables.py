"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence

from mobileone.util.tables import MISSING, Column, Table, bytes_text, number_text, threads_text

from benchmarks.runtimes.case import Case
from benchmarks.runtimes.cold_start import BARE, ColdStart
from benchmarks.runtimes.measurement import CaseResult, Entry
from benchmarks.runtimes.ratios import QUIET, verdict

__all__ = ["case_table", "cold_table", "throughput_table"]

_VERDICTS = {"ours": "ours faster", "theirs": "ours slower", "tie": "tie", "unknown": MISSING}


def case_table(result: CaseResult) -> Table:
    """Latencies of one case, fastest first, and how it was measured."""
    case = result.case
    titles = ["min ms", "median ms", "CPU ms", "images/s", "GFLOP/s", "% of peak", "time / ours"]
    titles += ["95 % interval", "of minima"]
    columns = [Column("engine", "left"), *map(Column, titles), Column("verdict", "left")]
    if case.dtype != "float32":
        columns += map(Column, ("SQNR dB", "same class %", "accuracy %"))
    columns += [Column("error / bound"), Column("peak memory"), Column("runs")]
    measured = sorted((e for e in result.entries if e.rounds), key=lambda e: e.median_ms)
    shape = "x".join(map(str, case.input_shape))
    title = f"{case.model}, {shape}, {case.dtype}, {threads_text(result.threads)}"
    title += f", {result.isa}" if result.isa else ""
    title += f", {result.around}" if str(result.around) else ""
    return Table(title, columns, [_row(e, result) for e in measured], _notes(result))


def _row(entry: Entry, result: CaseResult) -> list[str]:
    case, ratio = result.case, result.ratio(entry)
    gflops = 2 * case.macs / (entry.min_ms * 1e6)
    peak = result.peak_gflops
    return [
        _label(entry) + ("" if result.held(entry) else f" (not held to {result.isa})"),
        number_text(entry.min_ms),
        number_text(entry.median_ms),
        number_text(entry.cpu_ms),
        number_text(1e3 * case.batch / entry.median_ms, 1),
        number_text(gflops, 1),
        number_text(None if peak is None else 100 * gflops / peak, 0),
        number_text(None if ratio is None else ratio.median),
        MISSING if ratio is None else f"{ratio.low:.3f} .. {ratio.high:.3f}",
        number_text(None if ratio is None else ratio.of_minima),
        MISSING if ratio is None else _VERDICTS[verdict(ratio, result.null)],
        *_fidelity(entry, case),
        number_text(entry.error, 2),
        bytes_text(entry.peak_memory),
        str(len(entry.samples_ms)),
    ]


def _fidelity(entry: Entry, case: Case) -> list[str]:
    if case.dtype == "float32":
        return []
    found = entry.fidelity
    if found is None:
        return [MISSING] * 3
    accuracy = None if found.accuracy is None else 100 * found.accuracy
    return [
        number_text(found.sqnr, 1),
        number_text(100 * found.same, 2),
        number_text(accuracy, 2),
    ]


def _label(entry: Entry) -> str:
    return f"{entry.engine} {entry.version}" if entry.version else entry.engine


def _notes(result: CaseResult) -> list[str]:
    notes = [
        "time / ours: above 1 ours is faster; CPU ms: of the process per run, on all CPUs",
        f"on CPU {', '.join(map(str, result.cpus))}, load average {result.load_average:.1f} before",
        _null_note(result),
    ]
    if result.case.dtype != "float32":
        notes.append(_fidelity_note(result.case))
    if result.busy:
        notes.append(f"CPU {', '.join(map(str, result.busy))} kept busy by another process")
    if result.peak_gflops is not None:
        notes.append(f"peak: {result.peak_gflops:.1f} GFLOP/s, fused multiply-adds in this run")
    for entry in result.entries:
        if entry.failure is not None:
            notes.append(f"{_label(entry)}: not measured to the end: {entry.failure}")
        elif entry.settings:
            settings = ", ".join(f"{name}={value}" for name, value in entry.settings.items())
            notes.append(f"{_label(entry)}: {settings}")
    return notes


def _fidelity_note(case: Case) -> str:
    text = f"SQNR and same class: against our float32, on {case.held_out} held-out images"
    if case.float_accuracy is not None:
        return f"{text}; float32 recognises {case.float_accuracy:.2%} of them"
    return f"{text} of noise: of seeded weights they say how the arithmetic is, no accuracy"


def _null_note(result: CaseResult) -> str:
    null = result.null
    if null is None:
        return f"no null run: {result.again.failure or 'interrupted'}; no verdicts"
    ratio = null.ratio
    text = (
        f"null run, ours against ours: {ratio.median:.3f} ({ratio.low:.3f} .. {ratio.high:.3f}), "
        f"of minima {ratio.of_minima:.3f}"
    )
    if null.quiet:
        return f"{text}: within {QUIET:.0%} of 1, a quiet machine"
    return f"{text}: a noisy machine; ratios within {null.spread:.3f} x count as ties"


def throughput_table(results: Sequence[CaseResult]) -> Table:
    """Images/s at the median, a line per model, threads and engine, a column per batch size."""
    batches = sorted({result.case.batch for result in results})
    lines: dict[tuple[str, int, str], dict[int, str]] = {}
    for result in results:
        for entry in (e for e in result.entries if e.rounds):
            key = (result.case.model, result.threads, entry.engine)
            rate = number_text(1e3 * result.case.batch / entry.median_ms, 1)
            lines.setdefault(key, {})[result.case.batch] = rate
    columns = [Column("model", "left"), Column("threads"), Column("engine", "left")]
    columns += [Column(f"batch {batch}") for batch in batches]
    rows = [
        [model, str(threads), engine, *(rates.get(batch, MISSING) for batch in batches)]
        for (model, threads, engine), rates in lines.items()
    ]
    return Table("images/s", columns, rows)


def cold_table(model: str, starts: Sequence[ColdStart]) -> Table:
    """Time to the first result above NumPy alone, and peak memory."""
    bare = next(start for start in starts if start.engine == BARE)
    titles = ["median over NumPy, ms", "of minima, ms", "peak memory", "starts"]
    rows = []
    for start in starts:
        if not start.seconds:
            continue
        over = [start.median_over_ms(bare), start.min_over_ms(bare)]
        memory = bytes_text(start.peak_memory)
        cells = [MISSING if start is bare else number_text(value, 1) for value in over]
        rows.append([start.engine, *cells, memory, str(len(start.seconds))])
    notes = ["process start to first result, less that of `python -c 'import numpy'`"]
    if bare.seconds:
        notes[0] += f" ({1e3 * min(bare.seconds.values()):.1f} ms at the least)"
    notes += [f"{start.engine}: {start.failure}" for start in starts if start.failure]
    columns = [Column("engine", "left"), *map(Column, titles)]
    return Table(f"cold start, {model}", columns, rows, notes)

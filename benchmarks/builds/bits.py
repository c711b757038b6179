"""Do two builds compute the same bits? Every output by its SHA-256, from processes of their own."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.builds.build import Build
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.worker_process import WorkerError, WorkerProcess

__all__ = ["NETWORKS", "Row", "compare_arrays", "compare_bits", "table"]

NETWORKS = (
    *(f"mobileone_s{i}" for i in range(5)),
    *(f"mobileone_mu{i}" for i in range(3)),
    *(f"mobilevit_{size}" for size in ("xxs", "xs", "s")),
)
ALGORITHMS = ("auto", "direct", "strassen")
SMALL = (67, 45)  # no tile and no vector divides it
_TIMEOUT_S = 600.0
_SHOWN = 4  # differing arrays of a case that the table names

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Row:
    """One array of both builds. ``difference`` is None where it has no sense, else max |a - b|."""

    case: str
    name: str
    old: str  # SHA-256, or what went wrong
    new: str
    difference: float | None = None

    @property
    def equal(self) -> bool:
        """True if both have the array, bit for bit."""
        return self.old == self.new and len(self.old) == 64


def digest(array: npt.NDArray[Any]) -> str:
    """SHA-256 of type, shape and bytes."""
    array = np.ascontiguousarray(array)
    kind = f"{array.dtype.str} {array.shape} ".encode()
    return hashlib.sha256(kind + array.tobytes()).hexdigest()


def compare_arrays(case: str, old: Arrays, new: Arrays) -> list[Row]:
    """A row per name that either has."""
    return [_row(case, name, old.get(name), new.get(name)) for name in {**old, **new}]


def _row(case: str, name: str, old: npt.NDArray[Any] | None, new: npt.NDArray[Any] | None) -> Row:
    theirs, ours = ("absent" if array is None else digest(array) for array in (old, new))
    difference = None
    if old is not None and new is not None and old.shape == new.shape:
        with np.errstate(invalid="ignore"):
            away = np.abs(np.asarray(old, np.float64) - np.asarray(new, np.float64))
        difference = float(np.max(away, initial=0.0))
    return Row(case, name, theirs, ours, difference)


def cases(name: str) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    """(what it is, request of `child`, its arguments) of every comparison of one network."""
    size = 256 if name.startswith("mobilevit") else 224
    yield "weights", "weights", (name,)
    yield "fused weights", "fused_weights", ()
    for shape in ((1, 3, size, size), (1, 3, *SMALL)):
        where = "x".join(map(str, shape))
        for form in ("train-time", "inference"):
            yield f"{form}, {where}", "outputs", (form, shape)
        for algorithm in ALGORITHMS:
            yield f"inference, {algorithm}, {where}", "compiled_logits", (shape, algorithm)

    yield "training step", "training_step", (name, (2, 3, *SMALL))


def compare_bits(
    old: Build,
    new: Build,
    networks: Sequence[str],
    threads: Sequence[int],
    isas: Sequence[str | None],
    say: Callable[[str], None],
) -> Iterator[Row]:
    """Every array of every case, as both builds compute it."""
    for isa in isas:
        for count in threads:
            cpus = choose_cpus(count)
            for network in networks:
                with contextlib.ExitStack() as stack:
                    processes = [
                        stack.enter_context(build.start(cpus, count, isa)) for build in (old, new)
                    ]
                    title = f"{network}, {isa or 'own ISA'}, {count} thread{'s'[: count - 1]}"
                    for what, request, arguments in cases(network):
                        say(f"{title}: {what}")
                        results = [_ask(process, request, arguments) for process in processes]
                        yield from _compare(f"{title}: {what}", *results)


def _ask(process: WorkerProcess, request: str, arguments: tuple[Any, ...]) -> Arrays | WorkerError:
    try:
        answer: Arrays = process.ask(request, *arguments, timeout_s=_TIMEOUT_S)
    except WorkerError as error:
        return error
    return answer


def _compare(case: str, old: Arrays | WorkerError, new: Arrays | WorkerError) -> list[Row]:
    """A failure is a difference, also where both fail."""
    if isinstance(old, WorkerError) or isinstance(new, WorkerError):
        theirs, ours = (str(r) if isinstance(r, WorkerError) else "works" for r in (old, new))
        return [Row(case, "", theirs, ours)]
    return compare_arrays(case, old, new)


def table(rows: Sequence[Row]) -> str:
    """Markdown: a row per case, and below it the first arrays that differ in each."""
    lines = [
        "| case | arrays | equal | max abs. difference | SHA-256 of all, old | new |",
        "|---|---|---|---|---|---|",
    ]
    details = ["", "| differs | array | max abs. difference | old | new |", "|---|---|---|---|---|"]
    header = len(details)
    for case, of_case in itertools.groupby(rows, lambda row: row.case):
        arrays = list(of_case)
        differing = [row for row in arrays if not row.equal]
        equal = "all" if not differing else f"**{len(arrays) - len(differing)}**"
        away = max((row.difference or 0.0 for row in differing), default=0.0)
        both = [_together(row.old for row in arrays), _together(row.new for row in arrays)]
        lines.append(f"| {case} | {len(arrays)} | {equal} | {away:.3g} | {both[0]} | {both[1]} |")
        for row in differing[:_SHOWN]:
            by = "" if row.difference is None else f"{row.difference:.3g}"
            old, new = (text[:16] if len(text) == 64 else text for text in (row.old, row.new))
            details.append(f"| {case} | {row.name} | {by} | {old} | {new} |")
    return "\n".join(lines + (details if len(details) > header else []))


def _together(digests: Iterator[str]) -> str:
    return hashlib.sha256(" ".join(digests).encode()).hexdigest()[:16]

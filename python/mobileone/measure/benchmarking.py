"""Latency measurement by the protocol of the MobileOne paper (Vasu et al., 2023), section 3.5.

The model is loaded, the input preallocated, warm-up runs are done, then N runs are timed and the
minimum is reported. Several models are interleaved in rounds whose order rotates, so that drift of
the machine reaches all of them alike.
"""

from __future__ import annotations

import gc
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mobileone.measure.benchmark_result import BenchmarkResult, Measurement
from mobileone.measure.workload import (
    Source,
    Workload,
    accuracy_of,
    label_sources,
    open_workload,
)
from mobileone.network.inputs import InputSize, input_shape, random_input, total_macs
from mobileone.util.checks import at_least
from mobileone.util.machine.environment import fingerprint
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone.network.compiled import CompiledModel

__all__ = ["benchmark"]

# Runs are timed in pieces of about this length, so that Ctrl-C is answered between them.
_PIECE_NS = 100_000_000
# A progress bar is worth its place only above this expected duration.
_PROGRESS_S = 2.0


def benchmark(
    models: Source | Sequence[Source] | Mapping[str, Source],
    *,
    input_size: InputSize = None,
    batch_size: int = 1,
    threads: int | None = None,
    runs: int = 1000,
    warmup: int = 50,
    budget_s: float | None = None,
    rounds: int = 20,
    seed: int = 0,
    progress: bool | None = None,
) -> BenchmarkResult:
    """Time one or more models, interleaved.

    ``models`` is a Model, a checkpoint path, a torch.nn.Module, the name of a variant (seeded
    weights, inference form), a list of those, or a mapping from label to those. ``input_size`` is
    an integer or (height, width); None takes each model's own. Each model is run ``runs`` times,
    spread over ``rounds``, after ``warmup`` untimed runs; with ``budget_s`` the timed runs of all
    models together stop after about that many seconds if ``runs`` has not been reached before.
    ``progress`` None shows a bar (on stderr, where tqdm is installed) only in terminals and
    notebooks, and only if the wait is long.

    Ctrl-C returns what was measured so far, marked ``interrupted``. ValueError for bad arguments.
    """
    runs = at_least("runs", runs, 1)
    warmup = at_least("warmup", warmup, 0)
    rounds = min(runs, at_least("rounds", rounds, 1))
    if budget_s is not None and not (math.isfinite(budget_s) and budget_s > 0):
        raise ValueError(f"budget_s is {budget_s!r}; expected a positive number of seconds or None")
    sources = label_sources(models)
    choice = thread_count(threads)
    workloads = [open_workload(source, label, seed) for label, source in sources]
    runners = [
        _Runner(label, workload, input_size, batch_size, choice.count, seed)
        for label, workload in zip(_unique_labels(workloads), workloads, strict=True)
    ]
    for runner in runners:
        runner.warm_up(warmup)
    interrupted = _interleave(runners, runs, rounds, budget_s, progress)
    protocol = {
        "runs": runs,
        "warmup": warmup,
        "rounds": rounds,
        "budget_s": budget_s,
        "seed": seed,
        "batch_size": batch_size,
        "dtype": "float32",
        "threads": choice.count,
        "threads_reason": choice.reason,
        "int8": {
            runner.measurement.label: accuracy
            for runner, workload in zip(runners, workloads, strict=True)
            if (accuracy := accuracy_of(workload.model))
        },
    }
    measured = [runner.measurement for runner in runners if runner.measurement.num_runs]
    return BenchmarkResult(measured, protocol, fingerprint(), interrupted)


def _unique_labels(workloads: Sequence[Workload]) -> list[str]:
    """Equal labels are told apart by the model's form, and by a number if that is equal too."""
    names = [w.label for w in workloads]
    names = [
        f"{w.label} ({w.model.form})" if names.count(w.label) > 1 else w.label for w in workloads
    ]
    return [
        f"{name} #{names[: i + 1].count(name)}" if names.count(name) > 1 else name
        for i, name in enumerate(names)
    ]


class _Runner:
    """A compiled model with its preallocated input and output, and what was measured on it."""

    def __init__(
        self,
        label: str,
        workload: Workload,
        input_size: InputSize,
        batch_size: int,
        threads: int,
        seed: int,
    ) -> None:
        model = workload.model
        shape = input_shape(model, input_size, batch_size)
        self.x = random_input(shape, seed)
        start = time.perf_counter()
        self.compiled: CompiledModel = model.compile(shape, threads=threads)
        compiled_at = time.perf_counter()
        self.compiled(self.x)
        first_run_s = time.perf_counter() - compiled_at
        self.estimate_ns = first_run_s * 1e9
        self.measurement = Measurement(
            label=label,
            arch=model.arch,
            form=model.form,
            params=model.num_params,
            macs=total_macs(model, shape),
            input_shape=shape,
            threads=threads,
            load_s=workload.load_s,
            compile_s=compiled_at - start,
            first_run_s=first_run_s,
        )

    def warm_up(self, runs: int) -> None:
        """Untimed runs; the second half also tells how long a run takes."""
        self.time(runs // 2)
        samples = self.time(runs - runs // 2)
        if samples.size:
            self.estimate_ns = float(np.median(samples))

    def time(self, runs: int) -> npt.NDArray[np.int64]:
        """Nanoseconds of each of ``runs`` runs, timed inside the engine, not the interpreter."""
        if runs == 0:
            return np.empty(0, np.int64)
        collecting = gc.isenabled()
        gc.disable()
        try:
            return np.asarray(self.compiled.time(self.x, runs), dtype=np.int64)
        finally:
            if collecting:
                gc.enable()

    def time_round(self, index: int, runs: int, advance: Callable[[int], Any]) -> None:
        """Add ``runs`` samples to round ``index``, piece by piece."""
        piece = max(1, int(_PIECE_NS / max(self.estimate_ns, 1.0)))
        while runs > 0:
            count = min(piece, runs)
            self.measurement.add(index, self.time(count))
            advance(count)
            runs -= count


def _interleave(
    runners: Sequence[_Runner],
    runs: int,
    rounds: int,
    budget_s: float | None,
    progress: bool | None,
) -> bool:
    """Time all models in rounds of rotating order. True if Ctrl-C ended it early."""
    plan = [_runs_per_round(r, runs, rounds, budget_s, len(runners)) for r in runners]
    total = sum(map(sum, plan))
    expected_s = sum(r.estimate_ns * sum(p) for r, p in zip(runners, plan, strict=True)) / 1e9
    deadline = math.inf if budget_s is None else time.perf_counter() + budget_s
    bar = _progress_bar(total, expected_s, progress)
    try:
        for index in range(rounds):
            for position in range(len(runners)):
                which = (index + position) % len(runners)
                runners[which].time_round(index, plan[which][index], bar.update)
            if time.perf_counter() >= deadline:
                break
    except KeyboardInterrupt:
        if not any(r.measurement.num_runs for r in runners):
            raise
        return True
    finally:
        bar.close()
    return False


def _runs_per_round(
    runner: _Runner, runs: int, rounds: int, budget_s: float | None, models: int
) -> list[int]:
    """``runs`` spread evenly over the rounds, fewer if a model's share of the budget is shorter."""
    if budget_s is not None:
        affordable = int(budget_s / models / (runner.estimate_ns * 1e-9))
        runs = max(rounds, min(runs, affordable))
    return [runs * (i + 1) // rounds - runs * i // rounds for i in range(rounds)]


class _NoBar:
    """Stands in for a progress bar that is not wanted."""

    def update(self, count: int) -> None:
        """Ignore ``count`` finished runs."""

    def close(self) -> None:
        """Nothing to close."""


def _progress_bar(total: int, expected_s: float, progress: bool | None) -> Any:
    watched = sys.stderr.isatty() or "ipykernel" in sys.modules
    if not (watched and expected_s > _PROGRESS_S if progress is None else progress):
        return _NoBar()
    try:
        from tqdm.auto import tqdm
    except ImportError:
        return _NoBar()
    return tqdm(total=total, unit="run", desc="benchmark", mininterval=0.5, leave=False)

"""The tuner: how the steps of a plan are multiplied and cut up, by measuring them where they run.

Plans of the whole network take turns, each with another candidate for every step, and every step
is timed in its place, with the caches that its neighbours leave. The plan of the cost model takes
part twice: what its two copies differ by is noise, which decides nothing. The best of each step
are put together, and the result has to win once more, as a whole, against the model's plan and
those that multiply everywhere alike.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mobileone._core import Network, Plan
from mobileone.network.tune_cache import LEVELS, Choices, Tuned, find_tuned, store_tuned

__all__ = ["Progress", "tuned_for"]

# Seconds: at least, at most, and in runs of the network between them.
_LEAST_S, _MOST_S, _RUNS = 1.6, 5.0, 200
# Of the time, for the steps; the rest compares whole plans.
_STEPS_SHARE = 0.65
# A candidate replaces the model's choice where it is faster by more than this and the noise.
_LEAST_GAIN = 0.005

# Told how much of the tuning is done, from 0 to 1.
Progress = Callable[[float], None]
_Times = npt.NDArray[np.float64]


def tuned_for(
    network: Network,
    input_shape: tuple[int, ...],
    threads: int,
    *,
    budget_s: float | None = None,
    progress: Progress | None = None,
) -> Tuned:
    """What is known of the plan, measured now if that is nothing, and kept.

    Args:
        network: in inference form; other forms have nothing to tune.
        input_shape: (N, C, H, W).
        threads: of the plan.
        budget_s: what the measurements may take; default: 200 runs, from 1.6 s to 5 s.
        progress: is told how far they are.
    """
    known = find_tuned(network.graph, input_shape, threads)
    if known.tiling is not None:
        return known
    tuner = _Tuner(network, input_shape, threads, known.algorithms)
    found = tuner.tune(budget_s, progress or (lambda share: None))
    store_tuned(network.graph, input_shape, threads, found)
    return found


class _Candidate(NamedTuple):
    """Of one step."""

    strassen: int
    rows: int
    parts: int

    @classmethod
    def of(cls, record: Mapping[str, int]) -> _Candidate:
        return cls(record["strassen"], record["rows"], record["column_parts"])


class _Tuner:
    """Plans of one network, shape and number of threads."""

    def __init__(
        self,
        network: Network,
        input_shape: tuple[int, ...],
        threads: int,
        algorithms: Mapping[str, int],
    ) -> None:
        self._network, self._shape, self._threads = network, input_shape, threads
        self._fixed = algorithms  # other plans of the network were tuned before: bits are decided
        self._model = self._plan({n: {"strassen": s} for n, s in algorithms.items()})
        self._x = np.random.default_rng(0).standard_normal(input_shape, dtype=np.float32)
        self._out = [np.empty(shape, np.float32) for shape in self._model.output_shapes]

    def tune(self, budget_s: float | None, progress: Progress) -> Tuned:
        """Measure and decide."""
        base = _candidates_of(self._model)
        if not base:
            return Tuned({}, {})
        uniform = [self._everywhere(levels) for levels in LEVELS]
        run_s = min(self._model.time(self._x, self._out, 3)) / 1e9
        seconds = budget_s or min(max(_LEAST_S, _RUNS * run_s), _MOST_S)
        start = time.monotonic()

        def report(until: float) -> bool:
            """Whether there is time left."""
            spent = (time.monotonic() - start) / seconds
            progress(min(1.0, spent))
            return spent < until

        best = self._best_steps(base, uniform, report)
        plans = [base, best, *uniform]
        winner = plans[self._best_whole([_choices(plan) for plan in plans], report)]
        progress(1.0)
        made = _candidates_of(self._plan(_choices(winner)))  # the guard may have overruled
        return Tuned(
            {node: one.strassen for node, one in made.items()},
            {node: (one.rows, one.parts) for node, one in made.items()},
        )

    def _plan(self, choices: Choices) -> Plan:
        name = self._network.graph.output_name
        return Plan(self._network, self._shape, [name], self._threads, choices=choices)

    def _everywhere(self, levels: int) -> dict[str, _Candidate]:
        """The model's plan with so many levels of Strassen's algorithm where they may be chosen."""
        nodes = _candidates_of(self._model)
        chosen = {node: {"strassen": self._fixed.get(node, levels)} for node in nodes}
        return _candidates_of(self._plan(chosen))

    def _best_steps(
        self,
        base: dict[str, _Candidate],
        uniform: list[dict[str, _Candidate]],
        report: Callable[[float], bool],
    ) -> dict[str, _Candidate]:
        """The fastest candidate of each step."""
        where, steps = _steps_of(self._model, base), self._model.steps
        lists = {
            node: _variations(
                [one, *(plan[node] for plan in uniform)], steps[where[node]]["output_shape"][2]
            )
            for node, one in base.items()
        }
        longest = max(map(len, lists.values()))
        # The model's plan twice, then one plan per place in the lists.
        variants = [base, base] + [
            {node: one[index % len(one)] for node, one in lists.items()} for index in range(longest)
        ]
        plans = [self._plan(_choices(variant)) for variant in variants]
        times = _medians(  # [variant][step]
            plans,
            lambda plan: plan.profile(self._x, self._out, 3)[0],
            2,
            lambda: report(_STEPS_SHARE),
        )
        best = {}
        for node, step in where.items():
            null = abs(times[0][step] / times[1][step] - 1)
            reference = min(times[0][step], times[1][step])
            fastest = min(range(2, len(plans)), key=lambda v: float(times[v][step]))
            gain = 1 - times[fastest][step] / reference
            better = gain > max(_LEAST_GAIN, null)
            best[node] = variants[fastest][node] if better else base[node]
        return best

    def _best_whole(self, choices: list[Choices], report: Callable[[float], bool]) -> int:
        """Which plan runs fastest; the first one unless another wins by more than the noise."""
        plans = [self._plan(choice) for choice in (choices[0], *choices)]
        times = _medians(
            plans, lambda plan: plan.time(self._x, self._out, 3), 3, lambda: report(1.0)
        )
        null, *medians = map(float, times)
        noise = abs(null / medians[0] - 1)
        fastest = int(np.argmin(medians))
        gain = 1 - medians[fastest] / min(null, medians[0])
        return fastest if gain > max(_LEAST_GAIN, noise) else 0


def _medians(
    plans: list[Plan],
    measure: Callable[[Plan], Iterable[Any]],
    least_rounds: int,
    goes_on: Callable[[], bool],
) -> _Times:
    """By plan those of what `measure` says of each run, in turns of all plans."""
    samples: list[list[Any]] = [[] for _ in plans]
    rounds = 0
    while rounds < least_rounds or goes_on():
        for index in np.roll(np.arange(len(plans)), rounds):
            # The first run after another plan finds that plan's weights in the caches.
            samples[index] += list(measure(plans[index]))[1:]
        rounds += 1
    return np.array([np.median(np.asarray(one, np.float64), axis=0) for one in samples])


def _candidates_of(plan: Plan) -> dict[str, _Candidate]:
    return {node: _Candidate.of(record) for node, record in plan.records.items()}


def _choices(plan: Mapping[str, _Candidate]) -> Choices:
    return {
        node: {"strassen": one.strassen, "rows": one.rows, "column_parts": one.parts}
        for node, one in plan.items()
    }


def _steps_of(plan: Plan, nodes: Mapping[str, Any]) -> dict[str, int]:
    """By node the index of the step that executes it."""
    where = {name: i for i, step in enumerate(plan.steps) for name in step["name"].split(" > ")}
    return {node: where[node] for node in nodes}


def _variations(seeds: list[_Candidate], height: int) -> list[_Candidate]:
    """The seeds, and tiles of other heights around theirs: a few less, a few more of them."""
    found = dict.fromkeys(seeds)
    for seed in seeds:
        tiles = -(-height // seed.rows)
        for count in (tiles - 1, tiles + 1, 2 * tiles, -(-tiles // 2)):
            if 1 <= count <= height:
                found.setdefault(seed._replace(rows=-(-height // count)))
        if seed.parts > 1:
            found.setdefault(seed._replace(parts=1))
    return list(found)

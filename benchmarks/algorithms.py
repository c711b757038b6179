"""Does `auto` choose well? Plans of one network with `auto` before and after tuning and with each
algorithm everywhere take turns in one process; the untuned one takes part twice, as the null run.

    python -m benchmarks.algorithms --models mobileone_s0 mobilevit_xxs --threads 1

Prints a Markdown row per network: milliseconds, and time over the faster of the two forced choices:
the median of the rounds' ratios with its 95 % interval. Above 1 the forced choice is faster.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.ratios import Ratio, null_of, ratio_of

_FORCED = ("direct", "strassen")
_VARIANTS = ("untuned", "again", "tuned", *_FORCED)

# Nanoseconds of a variant's runs, by round.
Rounds = dict[int, list[int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0."""
    options = _parser().parse_args(arguments)
    os.sched_setaffinity(0, choose_cpus(options.threads))
    if options.isa is not None:
        os.environ["MOBILEONE_MAX_ISA"] = options.isa
    import mobileone  # after the environment that it reads
    from mobileone._core import isa

    print(f"{isa()}, threads {options.threads}\n")
    print(
        "| network | untuned, min / median ms | tuned | direct | strassen | tuning, s "
        "| untuned / best | tuned / best | null |\n|---|---|---|---|---|---|---|---|---|"
    )
    for name in options.models or mobileone.list_models():
        print(_row(name, options), flush=True)
    return 0


def _row(name: str, options: argparse.Namespace) -> str:
    plans, seconds = _plans(name, options.threads)
    times = _measure(plans, options.rounds, options.turn)
    best = min(_FORCED, key=lambda variant: _median(times[variant]))
    cells = [_times(times[variant]) for variant in _VARIANTS if variant != "again"]
    null = null_of(times["again"], times["untuned"])
    assert null is not None
    ratios = [_ratio(ratio_of(times[variant], times[best])) for variant in ("untuned", "tuned")]
    tail = f"{null.ratio.median:.3f} (± {100 * (null.spread - 1):.1f} %)"
    return "| " + " | ".join([name, *cells, f"{seconds:.1f}", *ratios, tail]) + " |"


def _plans(name: str, threads: int) -> tuple[dict[str, Callable[[], Any]], float]:
    """A run of each plan, and how long the tuner took."""
    import mobileone

    model = mobileone.reparameterize(mobileone.create_model(name))
    size = 256 if name.startswith("mobilevit") else 224
    shape = (1, 3, size, size)
    x = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    compiled = {}
    with tempfile.TemporaryDirectory() as folder:
        # A file of its own: the user's is neither read nor written.
        os.environ["MOBILEONE_TUNE_CACHE"] = os.path.join(folder, "tuning.json")
        for variant in ("untuned", "again"):
            compiled[variant] = model.compile(shape, threads=threads)
        for variant in _FORCED:
            compiled[variant] = model.compile(shape, threads=threads, algorithm=variant)
        start = time.perf_counter()
        compiled["tuned"] = model.compile(shape, threads=threads, tune="measure")
        seconds = time.perf_counter() - start

    def run_of(plan: Any) -> Callable[[], Any]:
        out = plan(x)
        return lambda: plan(x, out=out)

    return {variant: run_of(compiled[variant]) for variant in _VARIANTS}, seconds


def _measure(plans: dict[str, Callable[[], Any]], rounds: int, turn_s: float) -> dict[str, Rounds]:
    times: dict[str, Rounds] = {variant: {} for variant in plans}
    for index in range(rounds):
        shift = index % len(_VARIANTS)
        for variant in (*_VARIANTS[shift:], *_VARIANTS[:shift]):
            run = plans[variant]
            run()  # brings its weights to the caches
            samples: list[int] = []
            end = time.perf_counter_ns() + int(turn_s * 1e9)
            while not samples or time.perf_counter_ns() < end:
                start = time.perf_counter_ns()
                run()
                samples.append(time.perf_counter_ns() - start)
            times[variant][index] = samples
    return times


def _all(rounds: Rounds) -> list[int]:
    return [sample for samples in rounds.values() for sample in samples]


def _median(rounds: Rounds) -> float:
    return float(np.median(_all(rounds)))


def _times(rounds: Rounds) -> str:
    return f"{min(_all(rounds)) * 1e-6:.3f} / {_median(rounds) * 1e-6:.3f}"


def _ratio(ratio: Ratio | None) -> str:
    assert ratio is not None
    return f"{ratio.median:.3f} ({ratio.low:.3f}–{ratio.high:.3f})"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.algorithms",
        description="`auto`, untuned and tuned, beside each algorithm everywhere.",
    )
    parser.add_argument("--models", nargs="+", metavar="NAME", help="default: all")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--isa", choices=["avx2", "avx512"])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--turn", type=float, default=0.06, help="seconds of a plan's turn")
    return parser


if __name__ == "__main__":
    sys.exit(main())

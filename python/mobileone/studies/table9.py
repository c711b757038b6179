"""Tables 9 and 1: published networks on this CPU, in this engine and in others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mobileone.measure.benchmark_result import BenchmarkResult
from mobileone.measure.benchmarking import benchmark
from mobileone.measure.workload import Source
from mobileone.model import create_model, reparameterize
from mobileone.network.create import list_models
from mobileone.studies import paper
from mobileone.studies.architectures import ARCHITECTURES, architecture
from mobileone.studies.correlation_result import CorrelationResult
from mobileone.studies.runtimes import RUNTIMES, Rival, installed
from mobileone.studies.table9_result import OURS, Table9Result

if TYPE_CHECKING:
    from mobileone.model import Model

__all__ = ["NAMES", "table1", "table9"]

# The package's own variants, by the paper's names: mobileone_s0 is its MobileOne-S0.
_OWN = {
    name: name.lower().replace("-", "_")
    for name in paper.TABLE9
    if name.lower().replace("-", "_") in list_models()
}

# Of Table 9, in its order; and MobileNetV3 as the paper timed it (supplement B).
NAMES = tuple(name for name in paper.TABLE9 if name in ARCHITECTURES or name in _OWN)
_TIMED = tuple(name for name in ARCHITECTURES if name not in paper.TABLE9)


def table9(
    names: Sequence[str] | None = None,
    *,
    runtimes: Sequence[str] | None = None,
    budget_s: float = 60.0,
    threads: int | None = 1,
    **options: Any,
) -> Table9Result:
    """Table 9 of the paper: latency of published networks beside their accuracy.

    Weights are seeded: they do not change the time. Per network the engines take turns in
    interleaved rounds; networks follow one another.

    Args:
        names: of the paper, or of `studies.architectures`. None: all, and MobileNetV3 with ReLU,
            too.
        runtimes: which beside this engine: "onnxruntime", "openvino". None: those installed.
        budget_s: seconds of timed runs, for everything together.
        threads: of every engine.
        options: further arguments of `mobileone.benchmark`.

    Raises:
        ValueError: an unknown name or runtime, or a bad argument of `benchmark`.
        ImportError: a runtime that is asked for and not installed.
    """
    chosen = list((*NAMES, *_TIMED) if names is None else names)
    others = installed() if runtimes is None else list(runtimes)
    for known, given, what in (
        ((*NAMES, *_TIMED), chosen, "names"),
        (RUNTIMES, others, "runtimes"),
    ):
        for name in given:
            if name not in known:
                raise ValueError(f"{what} holds {name!r}; expected some of {', '.join(known)}")
    if not chosen:
        raise ValueError("names is empty; expected at least one network")
    found: dict[str, BenchmarkResult] = {}
    for name in chosen:
        model = _model(name)
        entries: dict[str, Source] = {
            OURS: model,
            **{other: Rival(model, other) for other in others},
        }
        found[name] = benchmark(
            entries, budget_s=budget_s / len(chosen), threads=threads, **options
        )
        if found[name].interrupted:
            break
    return Table9Result(found)


def table1(
    names: Sequence[str] | None = None, *, engine: str = OURS, **options: Any
) -> CorrelationResult:
    """Table 1 of the paper, over its own twelve networks: does latency follow FLOPs or parameters?

    Args:
        names: as for `table9`; None: the twelve of Figure 2.
        engine: "mobileone", or a runtime of `table9`.
        options: further arguments of `table9`.

    Raises:
        ValueError: as `table9`; fewer than 3 networks, also those left by Ctrl-C.
    """
    if engine != OURS and engine not in RUNTIMES:
        known = ", ".join((OURS, *RUNTIMES))
        raise ValueError(f"engine is {engine!r}; expected one of {known}")
    chosen = list(paper.FIGURE2) if names is None else list(names)
    others = [] if engine == OURS else [engine]
    return table9(chosen, runtimes=others, **options).correlation(engine)


def _model(name: str) -> Model:
    if name in ARCHITECTURES:
        return architecture(name)
    return reparameterize(create_model(_OWN[name]))

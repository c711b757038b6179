"""The studies: which networks are measured, and what the paper says of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mobileone.measure.benchmarking import benchmark
from mobileone.measure.workload import Source, label_sources
from mobileone.network.create import list_models
from mobileone.studies import paper
from mobileone.studies.correlation_result import CorrelationResult
from mobileone.studies.networks import ACTIVATIONS, plain_cnn
from mobileone.studies.result import StudyResult

__all__ = ["activations", "blocks", "correlation", "variants"]

_BUDGET_S = 20.0
_SAME_STEPS = "all networks on the same oneDNN steps, so that they differ in the named block alone"
_THE_NETWORK = "the paper gives only the number of layers: this is MobileNetV1 with one pair more"
_MOBILE = "paper mobile ms"


def activations(
    names: Sequence[str] | None = None, *, budget_s: float | None = _BUDGET_S, **options: Any
) -> StudyResult:
    """Table 2 of the paper: the activation function of a network of 30 layers.

    Args:
        names: which, as in the paper ("ReLU", "GELU", "SE-ReLU", "SiLU", "Dynamic Shift-Max",
            "DynamicReLU-A", "DynamicReLU-B"); the first one is what ratios relate to. None: all.
        budget_s: seconds of timed runs, for all networks together.
        options: further arguments of `mobileone.benchmark`.

    Raises:
        ValueError: an unknown activation, or a bad argument of `benchmark`.
    """
    chosen = list(ACTIVATIONS) if names is None else list(names)
    for name in chosen:
        if name not in ACTIVATIONS:
            raise ValueError(f"names holds {name!r}; expected some of {', '.join(ACTIVATIONS)}")
    if not chosen:
        raise ValueError("names is empty; expected at least one activation")
    models = {name: plain_cnn(ACTIVATIONS[name]) for name in chosen}
    return StudyResult(
        "activation functions in a network of 30 layers",
        benchmark(models, budget_s=budget_s, **options),
        {_MOBILE: paper.ACTIVATIONS_MS},
        ["paper: Table 2, iPhone 12", _THE_NETWORK, _SAME_STEPS],
    )


def blocks(*, budget_s: float | None = _BUDGET_S, **options: Any) -> StudyResult:
    """Table 3 of the paper: squeeze-and-excitation and skip connections in the same network.

    Args:
        budget_s: seconds of timed runs, for all networks together.
        options: further arguments of `mobileone.benchmark`.

    Raises:
        ValueError: a bad argument of `benchmark`.
    """
    models = {
        "baseline": plain_cnn(),
        "squeeze-excite": plain_cnn(squeeze_excite=True),
        "skip connections": plain_cnn(skip=True),
        "both": plain_cnn(squeeze_excite=True, skip=True),
    }
    return StudyResult(
        "building blocks in a network of 30 layers",
        benchmark(models, budget_s=budget_s, **options),
        {_MOBILE: paper.BLOCKS_MS},
        [
            "paper: Table 3, iPhone 12; it does not say of what its skip connections go around",
            _THE_NETWORK,
            _SAME_STEPS,
        ],
    )


def correlation(
    models: Sequence[Source] | Mapping[str, Source] | None = None,
    *,
    budget_s: float | None = _BUDGET_S,
    **options: Any,
) -> CorrelationResult:
    """Table 1 of the paper: does latency follow FLOPs, or the number of parameters?

    Args:
        models: at least 3, as for `mobileone.benchmark`. None: all variants, in inference form.
        budget_s: seconds of timed runs, for all models together.
        options: further arguments of `mobileone.benchmark`.

    Raises:
        ValueError: fewer than 3 models, also those left by Ctrl-C; a bad argument of `benchmark`.
    """
    chosen = list_models("mobileone*") if models is None else models
    found = len(label_sources(chosen))
    if found < 3:
        raise ValueError(f"models has {found} entries; a rank correlation needs at least 3")
    return CorrelationResult(benchmark(chosen, budget_s=budget_s, **options))


def variants(
    models: Sequence[str] | None = None, *, budget_s: float | None = _BUDGET_S, **options: Any
) -> StudyResult:
    """The published variants, mu0 to mu2 beside S0 to S4, and the latencies of the paper's Table 9.

    Args:
        models: names of variants; the first one is what ratios relate to. None: all, S0 first.
        budget_s: seconds of timed runs, for all models together.
        options: further arguments of `mobileone.benchmark`.

    Raises:
        ValueError: an unknown name, or a bad argument of `benchmark`.
    """
    chosen = list_models("mobileone*") if models is None else list(models)
    return StudyResult(
        "MobileOne variants, inference form",
        benchmark(chosen, budget_s=budget_s, **options),
        {"paper CPU ms": paper.CPU_MS, _MOBILE: paper.MOBILE_MS, "paper top-1 %": paper.TOP1},
        ["paper: Table 9, Xeon Gold 5118 (the ratio is its) and iPhone 12; no row for mu0 to mu2"],
    )

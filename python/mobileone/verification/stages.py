"""verify: are two networks the same function, up to what float32 rounding explains?

The bounds are derived, not tuned: docs/verification.md has the model and the derivation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.open import bundle_of
from mobileone.data.arrays import Float32, as_images
from mobileone.families.heads.head import box_code
from mobileone.network.inputs import input_shape, random_input
from mobileone.util.checks import at_least
from mobileone.verification.algebra import WeightDifference, weight_differences
from mobileone.verification.comparison import compare, diagnose, worst
from mobileone.verification.equivalence import Equivalence, StageError
from mobileone.verification.fidelity import Fidelity, StageNoise, wrong_integers
from mobileone.verification.low_precision import Run, run
from mobileone.verification.rounding import (
    FALSE_ALARM,
    RoundingBounds,
    difference_bounds,
    rounding_bound,
)

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = [
    "Equivalence",
    "Fidelity",
    "RoundingBounds",
    "StageError",
    "StageNoise",
    "WeightDifference",
    "rounding_bound",
    "same_classes",
    "verify",
]


def verify(
    reference: Any,
    candidate: Any,
    *,
    inputs: Any = None,
    batch_size: int = 2,
    input_size: int | tuple[int, int] | None = None,
    seed: int = 0,
    samples: int = 4,
    algebra: bool = True,
    dtype: str = "float32",
) -> Equivalence | Fidelity:
    """Compare two networks stage by stage on the engine, with batch norms in eval mode.

    Both run on `batch_size` images of seeded N(0, 1) noise, and on `inputs` if given. Neither is
    changed, whatever mode it is in. Where both are forms of one architecture, the weights of their
    inference forms are computed in float64 and compared too: that finds what drowns in the rounding
    of results.

    Of an int8 candidate (`mobileone.quantize`) there is no bound: the result is a `Fidelity`, noise
    per stage, and whether the integers are those of the exact reference.

    Args:
        reference: a Model, or anything that `mobileone.load` takes; taken for right.
        candidate: the same, e.g. the re-parameterized model.
        inputs: images [N, C, H, W], normalised as in training, besides the noise.
        batch_size: number of noise images.
        input_size: of the noise, one number or (H, W); default: what the reference was trained at.
        seed: of the noise and of the sampled rounding errors.
        samples: Monte Carlo samples behind every bound.
        algebra: False compares results alone: of networks that compute the same with other weights,
            e.g. with scales moved from one layer into the next.
        dtype: that the candidate is computed in, as `Model.compile` takes it; the reference is
            float32. On a CPU without its instructions it is emulated.

    Raises:
        NotImplementedError: a candidate with nothing that can be computed in `dtype`.
        ValueError: networks with different stages, shapes or classes; bad images or numbers.
    """
    first, second = bundle_of(reference), bundle_of(candidate)
    at_least("samples", samples, 1)
    for bundle in (first, second):
        bundle.warn_if_untrained("verify", stacklevel=3)
    batches = [random_input(input_shape(first, input_size, batch_size), seed)]
    if inputs is not None:
        batches.append(as_images(inputs, first.in_channels, min_size=first.family.min_size))
    _check_comparable(first, second, batches)

    runs = [(run(first, x), run(second, x, dtype)) for x in batches]
    given = "noise" if inputs is None else f"noise, {len(batches[1])} given"
    described = f"{sum(len(x) for x in batches)} images ({batch_size} of {given})"
    if second.quantization:
        return _fidelity(first, second, batches, runs, described)
    results = [(expected.results, found.results) for expected, found in runs]
    bounds = [
        difference_bounds(
            first, second, x, samples=samples, seed=seed, bfloat16=found.bfloat16_nodes
        )
        for x, (_, found) in zip(batches, runs, strict=True)
    ]
    names = _level_names(first)
    errors = [
        [compare(*row) for row in zip(names, *pair, bound, strict=True)]
        for pair, bound in zip(results, bounds, strict=True)
    ]
    rows = tuple(worst(level) for level in zip(*errors, strict=True))
    if algebra:
        rows = _with_weights(rows, weight_differences(first, second))
    return Equivalence(
        reference=_describe(first),
        candidate=_describe(second, dtype),
        rows=rows,
        top1_agreement=_agreement(first, results),
        images=described,
        false_alarm=FALSE_ALARM,
        hint=_hint(rows, errors, results),
        rounding="fp32" if dtype == "float32" else f"{dtype} and fp32",
    )


def _fidelity(
    first: Bundle,
    second: Bundle,
    batches: Sequence[Float32],
    runs: Sequence[tuple[Run, Run]],
    described: str,
) -> Fidelity:
    """Of an int8 candidate."""
    results = [(expected.results, found.results) for expected, found in runs]
    levels = zip(*(zip(a, b, strict=True) for a, b in results), strict=True)
    wrong = [wrong_integers(second, x) for x in batches]
    known = [count for count in wrong if count is not None]
    return Fidelity(
        reference=_describe(first),
        candidate=_describe(second),
        rows=tuple(
            StageNoise.of(name, pairs)
            for name, pairs in zip(_level_names(first), levels, strict=True)
        ),
        top1_agreement=_agreement(first, results),
        images=described,
        wrong=sum(known) if known else None,
    )


def _agreement(
    bundle: Bundle, results: Sequence[tuple[Sequence[Float32], Sequence[Float32]]]
) -> float:
    """The share of images, pixels or anchors with the same most probable class."""
    outputs = len(bundle.graph.outputs)
    agreed = [same_classes(a[-outputs:], b[-outputs:], bundle) for a, b in results]
    return float(np.concatenate(agreed).mean())


def same_classes(a: Sequence[Float32], b: Sequence[Float32], bundle: Bundle) -> Any:
    """Where two networks' outputs have the same most probable class: of each image, of each pixel
    of a segmenter's map, of each anchor of a detector's maps.
    """
    same, axis = [], 1
    if bundle.task == "detection":
        a, b = (_anchor_scores(outputs, bundle) for outputs in (a, b))
        axis = 2
    for x, y in zip(a, b, strict=True):
        same.append((x.argmax(axis) == y.argmax(axis)).ravel())
    return np.concatenate(same)


def _anchor_scores(outputs: Sequence[Float32], bundle: Bundle) -> list[Float32]:
    """[N, anchors of a cell, classes, h, w] of each resolution, after the anchors' four offsets."""
    named = dict(zip(bundle.graph.outputs, outputs, strict=True))
    joined = box_code(bundle).joined(named, bundle.num_classes)
    shape = (4 + bundle.num_classes,)
    return [m.reshape(len(m), -1, *shape, *m.shape[2:])[:, :, 4:] for m in joined]


def _describe(bundle: Bundle, dtype: str = "float32") -> str:
    form = bundle.form if dtype == "float32" else f"{bundle.form}, {dtype}"
    return f"{bundle.name} ({form})"


def _level_names(bundle: Bundle) -> list[str]:
    levels = ["stem", *(f"stage {i}" for i in range(1, len(bundle.graph.feature_names)))]
    levels = levels[: len(bundle.graph.feature_names)]  # a graph of another program may have none
    if bundle.task == "classification":
        return [*levels, "logits" if bundle.num_classes else "pooled"]
    return [*levels, *bundle.graph.outputs]


def _check_comparable(first: Bundle, second: Bundle, batches: Sequence[Float32]) -> None:
    """ValueError naming the first stage whose results have different shapes."""
    for x in batches:
        for name, a, b in _paired_nodes(first, second):
            found, expected = (m.graph.shapes(x.shape)[n] for m, n in ((second, b), (first, a)))
            if found != expected:
                raise ValueError(
                    f"candidate {_describe(second)}: {name} has shape {found}; expected "
                    f"{expected} as in reference {_describe(first)}"
                )


def _paired_nodes(first: Bundle, second: Bundle) -> list[tuple[str, str, str]]:
    if list(first.graph.outputs) != list(second.graph.outputs):
        raise ValueError(
            f"candidate {_describe(second)} has the results {list(second.graph.outputs)}; expected "
            f"{list(first.graph.outputs)} as in reference {_describe(first)}"
        )
    nodes = [[*m.graph.feature_names, *m.graph.outputs.values()] for m in (first, second)]
    if len(nodes[0]) != len(nodes[1]):
        stages = [len(m.graph.feature_names) - 1 for m in (first, second)]
        raise ValueError(
            f"candidate {_describe(second)} has {stages[1]} stages; expected "
            f"{stages[0]} as in reference {_describe(first)}"
        )
    return list(zip(_level_names(first), *nodes, strict=True))


def _with_weights(
    rows: Sequence[StageError], differences: Mapping[int, WeightDifference]
) -> tuple[StageError, ...]:
    """The stages with the difference of their weights, and the verdict on both."""
    return tuple(
        replace(row, ok=row.ok and differences[level].ratio <= 1, weights=differences[level])
        if level in differences
        else row
        for level, row in enumerate(rows)
    )


def _hint(
    rows: Sequence[StageError],
    errors: Sequence[Sequence[StageError]],
    results: Sequence[tuple[list[Float32], list[Float32]]],
) -> str:
    """What the first failing stage's difference looks like, and where its weights differ most."""
    for level, row in enumerate(rows):
        if row.ok:
            continue
        found = _diagnosis(level, errors, results)
        if row.weights is None or row.weights.ratio <= 1:
            return found
        return f"{found} Its weights: {row.weights}.".lstrip()
    return ""


def _diagnosis(
    level: int,
    errors: Sequence[Sequence[StageError]],
    results: Sequence[tuple[list[Float32], list[Float32]]],
) -> str:
    """What the difference of a stage's results looks like, in the batch where it is worst."""
    batch = max(range(len(errors)), key=lambda i: (not errors[i][level].ok, errors[i][level].ratio))
    if errors[batch][level].ok:
        return "Results agree within rounding, which hides the difference."
    if not math.isfinite(errors[batch][level].bound):
        return "The exact result is not finite there: look at the images and the weights."
    reference, candidate = results[batch]
    return diagnose(reference[level], candidate[level])

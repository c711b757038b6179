"""Bounds on float32 rounding errors, from the engine's Monte Carlo deviations.

The bounds are derived, not tuned: docs/verification.md has the model and the derivation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from mobileone._core import rounding_deviation
from mobileone.data.arrays import Float32, as_images
from mobileone.network.tails import FALSE_ALARM, tail_bound
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone._core import Graph, Network
    from mobileone.network.bundle import Bundle

__all__ = ["FALSE_ALARM", "RoundingBounds", "Running", "difference_bounds", "rounding_bound"]
__all__ += ["tail_bound"]

# Images per Monte Carlo run: bounds memory, every image is covered.
_CHUNK = 2
# Seeds of the engine are below.
_SEEDS = 1 << 64


class Running(Protocol):
    """A network in the mode that it is in: a `mobileone.Model`."""

    @property
    def network(self) -> Network: ...  # noqa: D102 - see Model
    @property
    def graph(self) -> Graph: ...  # noqa: D102
    @property
    def training(self) -> bool: ...  # noqa: D102
    @property
    def dropout_seed(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class RoundingBounds:
    """Largest absolute errors that float32 rounding explains, against exact arithmetic.

    Attributes:
        levels: one per requested feature level.
        logits: of the network's main output.
        outputs: of all its outputs, by name.
        statistics: of the updated running statistics by weight name; empty in eval mode.
    """

    levels: list[float]
    logits: float
    statistics: dict[str, float]
    outputs: dict[str, float]


def rounding_bound(
    model: Running,
    x: Any,
    out_indices: Sequence[int] | None = None,
    *,
    samples: int = 4,
    seed: int = 0,
    bfloat16: Sequence[str] = (),
) -> RoundingBounds:
    """Bounds on the float32 errors of `model` on images `x`, in the mode that it is in.

    They hold against exact arithmetic with the same weights. Two float32 results may differ by the
    root of the sum of their bounds' squares. Weights count as rounded once, so that the bounds also
    hold for a fused net whose weights were rounded to float32. The operands of the nodes `bfloat16`
    count as rounded to that.

    Raises:
        ValueError: a level that does not exist, or bad images.
    """
    names = model.graph.feature_names
    if out_indices is None:
        out_indices = range(len(names))
    for index in out_indices:
        if not 0 <= index < len(names):
            raise ValueError(f"out_indices has {index}; expected 0 to {len(names) - 1}")
    images = as_images(x, model.graph.nodes[0]["attributes"]["channels"])
    results = model.graph.outputs
    wanted = [*(names[index] for index in out_indices), *results.values()]
    threads = thread_count().count
    outputs, statistics = rounding_deviation(
        model.network,
        images,
        wanted,
        samples,
        seed,
        model.training,
        threads,
        model.dropout_seed,
        bfloat16,
    )
    shapes = model.graph.shapes(images.shape)
    bounds = [
        tail_bound(deviation, math.prod(shapes[name]), samples)
        for name, (_, deviation) in zip(wanted, outputs, strict=True)
    ]
    sizes = {name: math.prod(shape) for name, shape, _, _ in model.graph.parameters()}
    levels, last = bounds[: -len(results)], bounds[-len(results) :]
    return RoundingBounds(
        levels,
        last[0],
        {name: tail_bound(s, sizes[name], samples) for name, (_, s) in statistics.items()},
        dict(zip(results, last, strict=True)),
    )


def difference_bounds(
    first: Bundle,
    second: Bundle,
    x: Float32,
    *,
    samples: int,
    seed: int,
    bfloat16: Sequence[str] = (),
) -> list[float]:
    """Bounds on the difference of two networks' float32 results in eval mode: levels, then outputs.

    Their rounding errors are independent, so that variances add. `bfloat16`: nodes of the second
    whose operands are rounded to that.
    """
    shapes = first.graph.shapes(x.shape)
    names = [*first.graph.feature_names, *first.graph.outputs.values()]
    deviations = [
        _deviations(m, x, samples, (2 * seed + i) % _SEEDS, bfloat16 if i else ())
        for i, m in enumerate((first, second))
    ]
    return [
        tail_bound(math.hypot(*pair), math.prod(shapes[name]), samples)
        for *pair, name in zip(*deviations, names, strict=True)
    ]


def _deviations(
    bundle: Bundle, x: Float32, samples: int, seed: int, bfloat16: Sequence[str]
) -> list[float]:
    """The largest local deviation at every level and the outputs, over all images."""
    nodes = [*bundle.graph.feature_names, *bundle.graph.outputs.values()]
    threads = thread_count().count
    chunks = [
        rounding_deviation(
            bundle.network, x[i : i + _CHUNK], nodes, samples, seed, False, threads, 0, bfloat16
        )[0]
        for i in range(0, len(x), _CHUNK)
    ]
    return [max(chunk[level][1] for chunk in chunks) for level in range(len(nodes))]

"""Where a network stops being finite: what to say when a loss is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from mobileone.network.training_plans import TrainingPlans

if TYPE_CHECKING:
    from mobileone._core import Network
    from mobileone.data.arrays import Float32

__all__ = ["first_not_finite"]

# Elements of activations that are looked at in one run.
_AT_ONCE = 1 << 26


def first_not_finite(
    network: Network, parameters: Iterable[str], x: Float32, threads: int, dropout_seed: int
) -> str:
    """What is not finite first, in words: images, weights, layers' outputs, batch statistics.

    "" if all of these are.

    Args:
        network: whose weights made the loss, in train mode.
        parameters: names of those that the loss depends on: of no running statistics.
        x: the batch.
        threads: to run with.
        dropout_seed: of the step.
    """
    if not np.isfinite(x).all():
        bad = int(np.flatnonzero(~np.isfinite(x).reshape(len(x), -1).all(1))[0])
        return f"image {bad} of the batch, which comes before any layer"
    weights = network.weights()
    for name in parameters:
        if not np.isfinite(weights[name]).all():
            return f"the weights {name}"
    shapes = network.graph.shapes(x.shape)
    for names in _chunks({name: shapes[name] for name in _layers(network)}):
        outputs = [np.empty(shapes[name], np.float32) for name in names]
        statistic = ""
        try:
            TrainingPlans().step(
                network, x, tuple(names), outputs, threads=threads, dropout_seed=dropout_seed
            )
        except FloatingPointError as error:  # of a batch norm's, when all outputs are there
            statistic = str(error).partition(";")[0].removeprefix("[train] ")
        for name, output in zip(names, outputs, strict=True):
            if not np.isfinite(output).all():
                return f"the output of {name}"
        if statistic:
            return statistic
    return ""


def _layers(network: Network) -> list[str]:
    inputs = set(network.graph.input_names)
    return [node["name"] for node in network.graph.nodes if node["name"] not in inputs]


def _chunks(shapes: dict[str, tuple[int, ...]]) -> Iterator[list[str]]:
    """Names in their order, in groups of at most `_AT_ONCE` elements."""
    chunk: list[str] = []
    size = 0
    for name, shape in shapes.items():
        count = math.prod(shape)
        if chunk and size + count > _AT_ONCE:
            yield chunk
            chunk, size = [], 0
        chunk.append(name)
        size += count
    if chunk:
        yield chunk

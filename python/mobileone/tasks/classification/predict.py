"""Logits as named probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32, is_several
from mobileone.tasks.classification.labels import class_name

__all__ = ["check_topk", "most_probable", "predictions", "softmax"]


def check_topk(topk: int) -> None:
    """ValueError unless it is a positive integer."""
    if isinstance(topk, bool) or not isinstance(topk, int | np.integer) or topk < 1:
        raise ValueError(f"topk is {topk!r}; expected an integer, at least 1")


def most_probable(
    logits: Float32, topk: int, names: Sequence[str] | None
) -> list[list[tuple[str, float]]]:
    """The names and probabilities of the `topk` largest logits of each image, largest first."""
    probabilities = softmax(logits)
    # Stable: of equal probabilities the class that comes first.
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :topk]
    classes = logits.shape[1]
    return [
        [(class_name(int(i), classes, names), float(row[i])) for i in best]
        for row, best in zip(probabilities, order, strict=True)
    ]


def predictions(
    image: Any, logits: Float32, topk: int, names: Sequence[str] | None
) -> list[tuple[str, float]] | list[list[tuple[str, float]]]:
    """`most_probable`: a list per image where several were given, even if a list of one."""
    named = most_probable(logits, topk, names)
    return named if is_several(image) else named[0]


def softmax(logits: Float32) -> npt.NDArray[np.float64]:
    """Probabilities [N, K] in float64; no overflow for any finite logits."""
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    probabilities: npt.NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return probabilities

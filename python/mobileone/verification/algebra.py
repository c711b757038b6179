"""The weights of two networks, both re-parameterized exactly, compared element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mobileone._core import compare_weights

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = ["WeightDifference", "weight_differences"]


@dataclass(frozen=True)
class WeightDifference:
    """Where one stage's weights differ most, in units of what rounding explains.

    Both networks' inference forms are computed in float64, without rounding (docs/verification.md).

    Attributes:
        weight: its name in the inference form, e.g. "stage2.3.reparam_conv.weight".
        index: of the element.
        reference: its exact value in the reference.
        candidate: its exact value in the candidate.
        bound: largest difference that float32 arithmetic explains.
        ratio: |candidate - reference| / bound.
    """

    weight: str
    index: tuple[int, ...]
    reference: float
    candidate: float
    bound: float
    ratio: float

    def __str__(self) -> str:
        values = f"{self.candidate:.9g} for {self.reference:.9g}"
        return f"{self.weight}{list(self.index)} is {values}, {self.ratio:.3g} x what rounding does"


def weight_differences(reference: Bundle, candidate: Bundle) -> dict[int, WeightDifference]:
    """By stage, 0 being the stem and the last one the head; of stages that have weights.

    Empty where the networks' inference forms are not the same graph.
    """
    largest: dict[int, WeightDifference] = {}
    for found in compare_weights(reference.network, candidate.network) or ():
        level: int = found.pop("level")
        if level not in largest or found["ratio"] > largest[level].ratio:
            largest[level] = WeightDifference(**found)
    return largest

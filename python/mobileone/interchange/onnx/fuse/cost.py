"""What nodes cost, per position of a region's result.

In multiply-adds: those of the node, and what reading and writing its values takes, which for an
elementwise operator is all. The ratio of the two decides what is replaced, never what is computed.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Cost"]

# Multiply-adds in the time that one element takes to be read or written.
_ELEMENT = 8.0


class Cost(NamedTuple):
    """Per position of the result of a region.

    Attributes:
        macs: multiply-adds of convolutions, poolings and matrix products.
        elements: of values that are read and written.
        weights: elements of weights, without biases.
        nodes: how many there are.
    """

    macs: float = 0.0
    elements: float = 0.0
    weights: int = 0
    nodes: int = 0

    @property
    def total(self) -> float:
        """In multiply-adds."""
        return self.macs + _ELEMENT * self.elements

    def plus(self, other: Cost, ratio: float) -> Cost:
        """With another cost, which occurs `ratio` times per position."""
        macs, elements = self.macs + ratio * other.macs, self.elements + ratio * other.elements
        return Cost(macs, elements, self.weights + other.weights, self.nodes + other.nodes)

    def is_below(self, other: Cost) -> bool:
        """Whether it is cheaper, and in no way dearer."""
        no_more = self.macs <= other.macs and self.weights <= other.weights
        mine, others = ((cost.total, cost.nodes, cost.weights) for cost in (self, other))
        return no_more and mine < others

"""DetectionRule: which of the boxes that a detector gives are kept."""

from __future__ import annotations

from numbers import Real
from typing import NamedTuple

from mobileone.util.checks import at_least

__all__ = ["DetectionRule"]


class DetectionRule(NamedTuple):
    """How maps become boxes.

    Attributes:
        score: probabilities must be larger.
        overlap: intersection over union with a better box of the same class, at most.
        candidates: of each class the most that are looked at.
        most: boxes of a picture.
    """

    score: float = 0.01
    overlap: float = 0.5
    candidates: int = 400
    most: int = 200

    def check(self) -> DetectionRule:
        """The same; ValueError for values out of their range."""
        for name, value in (("score", self.score), ("overlap", self.overlap)):
            if not isinstance(value, Real) or not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}; expected 0 to 1")
        counts = (("candidates", self.candidates), ("most", self.most))
        # There are fewer boxes than that.
        candidates, most = (min(at_least(name, count, 1), 1 << 31) for name, count in counts)
        return self._replace(candidates=candidates, most=most)

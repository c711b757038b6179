"""DetectionRule: which of the boxes that a detector gives are kept."""

from __future__ import annotations

from typing import NamedTuple

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
            if not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}; expected 0 to 1")
        for name, count in (("candidates", self.candidates), ("most", self.most)):
            if isinstance(count, bool) or not isinstance(count, int) or count < 1:
                raise ValueError(f"{name} is {count!r}; expected an integer, at least 1")
        return self

"""A single-shot detector's maps to boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mobileone._core import detect_boxes, ssd_anchors

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32

__all__ = ["Boxes", "DetectionRule", "anchors_of", "boxes_of_maps"]

# Of each map's anchors, and the range of scales (Liu et al. 2016; CVNets).
RATIOS = ((2, 3), (2, 3), (2, 3), (2, 3), (2, 3), (2,))
SMALLEST, LARGEST = 0.1, 1.05


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


class Boxes(NamedTuple):
    """Of one picture, by falling scores.

    Attributes:
        boxes: float64 [n, 4]: left, top, right, bottom, in the picture's pixels and inside of it.
        scores: float64 [n], probabilities.
        labels: int64 [n], numbers of classes.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


@lru_cache(maxsize=16)
def anchors_of(sizes: tuple[tuple[int, int], ...]) -> Float32:
    """Anchors [n, 4] (centre x, centre y, width, height, in units of the picture's sides) of maps
    of these heights and widths.
    """
    anchors = ssd_anchors(sizes, RATIOS, SMALLEST, LARGEST)
    anchors.flags.writeable = False
    return anchors


def boxes_of_maps(
    maps: Mapping[str, Float32],
    classes: int,
    sizes: Sequence[tuple[int, int]],
    rule: DetectionRule | None = None,
) -> list[Boxes]:
    """The boxes of each picture.

    Args:
        maps: what a detector gives.
        classes: with the background, which is class 0.
        sizes: height and width of each picture.
        rule: how; None for the authors' of MobileViT.
    """
    score, overlap, candidates, most = (rule or DetectionRule()).check()
    arrays = list(maps.values())
    anchors = anchors_of(tuple((m.shape[2], m.shape[3]) for m in arrays))
    found = detect_boxes(arrays, anchors, classes, 0, score, candidates, overlap, most)
    result = []
    for (boxes, scores, labels), (height, width) in zip(found, sizes, strict=True):
        scale = np.array([width, height, width, height], np.float64)
        result.append(Boxes(np.clip(boxes * scale, 0.0, scale), scores, labels))
    return result

"""A single-shot detector's maps to boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mobileone._core import detect_boxes
from mobileone.tasks.detection.codes import CVNETS

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32
    from mobileone.tasks.detection.codes import BoxCode
    from mobileone.tasks.detection.rule import DetectionRule

__all__ = ["Boxes", "boxes_of_maps"]


class Boxes(NamedTuple):
    """Of one picture, by falling scores.

    Attributes:
        boxes: float64 [n, 4]: left, top, right, bottom, in the picture's pixels and inside of it.
        scores: float64 [n], probabilities.
        labels: int64 [n], numbers of classes from 1 on; 0 would be the background.
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


def boxes_of_maps(
    maps: Mapping[str, Float32],
    classes: int,
    sizes: Sequence[tuple[int, int]],
    rule: DetectionRule | None = None,
    code: BoxCode = CVNETS,
    input_size: tuple[int, int] = (320, 320),
) -> list[Boxes]:
    """The boxes of each picture.

    Args:
        maps: what a detector gives.
        classes: with the background.
        sizes: height and width of each picture.
        rule: how; None for the authors' of the code.
        code: of the maps.
        input_size: (height, width) of the network's input.
    """
    score, overlap, candidates, most = (rule or code.rule).check()
    arrays = code.joined(maps, classes)
    anchors = code.anchors(code.sizes(maps), input_size)
    background = code.background(classes)
    found = detect_boxes(
        arrays, anchors, classes, background, score, candidates, overlap, most,
        code.per_map, code.clip, code.growth,
    )  # fmt: skip
    result = []
    for (boxes, scores, labels), (height, width) in zip(found, sizes, strict=True):
        scale = np.array([width, height, width, height], np.float64)
        numbers = labels if background == 0 else labels + 1
        result.append(Boxes(np.clip(boxes * scale, 0.0, scale), scores, numbers))
    return result

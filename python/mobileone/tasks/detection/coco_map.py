"""COCO's mean average precision, by faster-coco-eval (the extra `coco`).

What evaluators trip over is settled here: of each category at most 100 boxes a picture count (as in
pycocotools' code), areas that are missing are those of the boxes, annotations are numbered from 1,
and there may be no detections at all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["CocoMap", "coco_map", "coco_results"]

# Boxes of a picture and a category that COCO counts.
MOST = 100


class CocoMap(NamedTuple):
    """Average precision, 0 to 1, over categories and 101 recalls; -1 where there is no object.

    Attributes:
        map: over overlaps of 0.50, 0.55, ... 0.95.
        map_50: at an overlap of 0.5.
        map_75: at an overlap of 0.75.
        map_small: of objects below 32 x 32 pixels; map_medium: below 96 x 96; map_large: above.
        recall: average recall with 100 boxes a picture and category.
        per_category: `map` of each category, by its id.
    """

    map: float
    map_50: float
    map_75: float
    map_small: float
    map_medium: float
    map_large: float
    recall: float
    per_category: dict[int, float]


def coco_results(
    image_id: int, boxes: Any, scores: Any, labels: Any, category_ids: Sequence[int]
) -> list[dict[str, Any]]:
    """The detections of a picture as COCO's results have them.

    Args:
        image_id: of the picture.
        boxes: [n, 4]: left, top, right, bottom, in pixels.
        scores: [n].
        labels: [n], numbers of classes from 1 on.
        category_ids: of class 1, 2, ...
    """
    return [
        {
            "image_id": image_id,
            "category_id": category_ids[int(label) - 1],
            "bbox": [float(x0), float(y0), float(x1) - float(x0), float(y1) - float(y0)],
            "score": float(score),
        }
        for (x0, y0, x1, y1), score, label in zip(boxes, scores, labels, strict=True)
    ]


def coco_map(truth: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> CocoMap:
    """The mean average precision of detections.

    Args:
        truth: what a file of COCO's annotations holds: "images", "annotations", "categories".
        results: `image_id`, `category_id`, `bbox` (left, top, width, height) and `score` of each.

    Raises:
        ValueError: a part of `truth` or of a box that is missing; a box that is none; a result of
            another picture; annotations of pictures or categories that `truth` does not have.
        ImportError: faster-coco-eval is not installed.
    """
    given = list(results)
    _check(truth, given)
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise ImportError(
            "coco_map needs faster-coco-eval: pip install 'mobileone[coco]'"
        ) from error
    reference = COCO(_dataset(truth, truth["annotations"]))
    found = COCO(_dataset(truth, _best(given)))
    evaluation = COCOeval_faster(reference, found, "bbox", print_function=_say_nothing)
    evaluation.evaluate()
    evaluation.accumulate()
    return _summary(
        np.asarray(evaluation.eval["precision"]),
        np.asarray(evaluation.eval["recall"]),
        list(evaluation.params.catIds),
    )


def _check(truth: Mapping[str, Any], given: Sequence[Any]) -> None:
    """The ValueErrors of `coco_map`."""
    for part in ("images", "annotations", "categories"):
        if part not in truth:
            raise ValueError(f"truth has no {part!r}; expected images, annotations and categories")
    _check_boxes("results", given, ("image_id", "category_id", "bbox", "score"))
    _check_boxes("truth's annotations", truth["annotations"], ("image_id", "category_id", "bbox"))
    known = {image["id"] for image in truth["images"]}
    categories = {category["id"] for category in truth["categories"]}
    for number, one in enumerate(truth["annotations"]):
        for name, ids in (("image_id", known), ("category_id", categories)):
            if one[name] not in ids:
                raise ValueError(
                    f"truth's annotations[{number}] has {name} {one[name]!r}, which is not among "
                    "its images or categories"
                )
    strange = next((r["image_id"] for r in given if r["image_id"] not in known), None)
    if strange is not None:
        raise ValueError(f"a result is of image_id {strange!r}, which is not among truth's images")


def _check_boxes(what: str, boxes: Sequence[Any], fields: Sequence[str]) -> None:
    """ValueError naming the first one that is no box."""
    for number, one in enumerate(boxes):
        if not isinstance(one, Mapping) or any(field not in one for field in fields):
            raise ValueError(f"{what}[{number}] is {one!r:.80}; expected a dict with {fields}")
        box = [float(value) for value in one["bbox"]]
        if len(box) != 4 or not all(map(math.isfinite, box)):
            expected = "left, top, width, height"
            raise ValueError(f"{what}[{number}] has bbox {one['bbox']!r}; expected {expected}")


def _say_nothing(*_: Any, **__: Any) -> None:
    """In the place of the evaluator's reports."""


def _best(results: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The `MOST` best of each picture and category; of equal scores the first."""
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for result in results:
        groups.setdefault((result["image_id"], result["category_id"]), []).append(result)
    kept = []
    for found in groups.values():
        kept += sorted(found, key=lambda result: -result["score"])[:MOST]
    return kept


def _dataset(truth: Mapping[str, Any], boxes: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The pictures and categories with these boxes, complete and numbered from 1."""
    annotations = []
    for number, box in enumerate(boxes, 1):
        _, _, width, height = box["bbox"]
        complete = {"iscrowd": 0, "area": width * height, **box, "id": number}
        if complete["area"] is None:
            complete["area"] = width * height
        annotations.append(complete)
    parts = {"images": list(truth["images"]), "categories": list(truth["categories"])}
    return {**parts, "annotations": annotations}


def _summary(
    precision: npt.NDArray[np.float64], recall: npt.NDArray[np.float64], categories: list[int]
) -> CocoMap:
    """Of precision [overlaps, recalls, categories, areas, boxes] and recall without the second."""

    def mean(values: npt.NDArray[np.float64]) -> float:
        there = values[values > -1]
        return float(there.mean()) if there.size else -1.0

    every, small, medium, large = (precision[:, :, :, area, -1] for area in range(4))
    return CocoMap(
        mean(every),
        mean(every[0]),
        mean(every[5]),
        mean(small),
        mean(medium),
        mean(large),
        mean(recall[:, :, 0, -1]),
        {int(c): mean(every[:, :, k]) for k, c in enumerate(categories)},
    )

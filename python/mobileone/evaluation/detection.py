"""Detectors on pictures with objects: COCO's mean average precision."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mobileone.data.datasets.coco import CocoPictures
from mobileone.data.datasets.open_objects import open_objects
from mobileone.data.whole import resized_input
from mobileone.evaluation.pictures import Pictures
from mobileone.evaluation.task_results import DetectionEvaluation
from mobileone.families.heads.head import box_code
from mobileone.network.session import Session
from mobileone.tasks.detection.boxes import Boxes, boxes_of_maps
from mobileone.tasks.detection.coco_map import coco_map, coco_results
from mobileone.tasks.detection.labels import COCO_IDS, object_class_names
from mobileone.util.checks import at_least

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32
    from mobileone.data.datasets.objects import ObjectSamples
    from mobileone.network.bundle import Bundle

__all__ = ["evaluate_detector"]


class _Ready(NamedTuple):
    """A picture's (height, width), and the network's input [1, C, H, W] of it."""

    size: tuple[int, int]
    x: Float32


class _Truth(NamedTuple):
    """What there is to find.

    Attributes:
        parts: "images", "annotations" and "categories", as COCO's files have them.
        image_ids: of picture 0, 1, ...
        name: of the data.
    """

    parts: dict[str, Any]
    image_ids: Sequence[Any]
    name: str


def evaluate_detector(
    bundle: Bundle,
    data: Any,
    *,
    workers: int,
    threads: int,
    stop: bool,
    batch_size: int = 32,
    progress: bool | None = None,
) -> DetectionEvaluation:
    """See `mobileone.evaluate` with metrics="coco"; the arguments are checked.

    Raises:
        TypeError, ValueError, OSError: no pictures with objects, or of other classes.
    """
    at_least("batch_size", batch_size, 1)
    samples = open_objects(data)
    if samples is None:
        raise TypeError(
            f"data is a {type(data).__name__}; expected (COCO's annotations, folder), COCO's "
            "folder, or (images, objects)"
        )
    truth = _truth(samples, bundle)
    ids = _category_ids(bundle, truth)

    def read(index: int) -> _Ready:
        pixels = np.asarray(samples.image(index))
        x = resized_input(pixels, bundle.input_size, bundle.data_config)
        return _Ready((pixels.shape[0], pixels.shape[1]), x)

    def key(index: int) -> str:
        return samples.path(index) if isinstance(samples, CocoPictures) else str(index)

    how: dict[str, Any] = {"stop": stop, "workers": workers, "progress": progress}
    pictures = Pictures(len(samples), read, key, **how)
    session, batch = Session(bundle, threads=threads), dict[int, _Ready]()
    results: list[dict[str, Any]] = []
    seen: list[Any] = []
    for number, ready in chain(pictures, [(-1, None)]):
        if ready is not None:
            batch[number] = ready
        if len(batch) < batch_size and ready is not None:
            continue
        for one, found in zip(batch, _found(session, list(batch.values())), strict=True):
            seen.append(truth.image_ids[one])
            known = [i for i, label in enumerate(found.labels) if ids[label - 1] is not None]
            parts = (found.boxes[known], found.scores[known], found.labels[known])
            results += coco_results(seen[-1], *parts, ids)
        batch.clear()
    if not seen:
        raise ValueError(f"{truth.name}: gave no pictures; expected some")
    return DetectionEvaluation(
        name=bundle.name,
        data=truth.name,
        count=len(seen),
        figures=coco_map(_of_pictures(truth.parts, set(seen)), results),
        categories={c["id"]: str(c.get("name", c["id"])) for c in truth.parts["categories"]},
        results=tuple(results),
        unreadable=tuple(pictures.unreadable),
    )


def _found(session: Session, batch: Sequence[_Ready]) -> list[Boxes]:
    if not batch:
        return []
    maps = session.evaluated(np.concatenate([ready.x for ready in batch]))
    sizes = [ready.size for ready in batch]
    bundle = session.bundle
    how = (None, box_code(bundle), bundle.input_size)
    return boxes_of_maps(maps, bundle.num_classes, sizes, *how)


def _truth(samples: ObjectSamples, bundle: Bundle) -> _Truth:
    if isinstance(samples, CocoPictures):
        return _Truth(
            samples.truth, [samples.image_id(i) for i in range(len(samples))], samples.name
        )
    numbers = range(len(samples))
    names = object_class_names(bundle.num_classes, samples.class_names or bundle.class_names)
    annotations = [
        {"image_id": i, "category_id": int(label), "bbox": [x0, y0, x1 - x0, y1 - y0]}
        for i in numbers
        for (x0, y0, x1, y1), label in zip(
            samples.objects(i).boxes.tolist(), samples.objects(i).labels, strict=True
        )
    ]
    parts = {
        "images": [{"id": i} for i in numbers],
        "categories": [{"id": i, "name": name} for i, name in enumerate(names) if i],
        "annotations": annotations,
    }
    return _Truth(parts, numbers, f"{len(samples)} pictures")


def _category_ids(bundle: Bundle, truth: _Truth) -> list[Any]:
    """Of class 1, 2, ...; None for a class that the data do not have."""
    categories = sorted(truth.parts["categories"], key=lambda category: category["id"])
    ids = [category["id"] for category in categories]
    own = bundle.class_names
    by_name = {category.get("name"): category["id"] for category in categories}
    if own is not None and set(by_name) == set(own[1:]):
        return [by_name[name] for name in own[1:]]
    if bundle.num_classes == len(ids) + 1:
        return ids
    if bundle.num_classes == len(COCO_IDS) + 1 and set(ids) <= set(COCO_IDS):
        return [i if i in ids else None for i in COCO_IDS]
    raise ValueError(
        f"{truth.name}: has {len(ids)} categories; {bundle.name} finds {bundle.num_classes - 1}"
    )


def _of_pictures(parts: dict[str, Any], image_ids: set[Any]) -> dict[str, Any]:
    """What there is to find in these pictures alone."""
    if len(image_ids) == len(parts["images"]):
        return parts
    return {
        **parts,
        "images": [one for one in parts["images"] if one["id"] in image_ids],
        "annotations": [one for one in parts["annotations"] if one["image_id"] in image_ids],
    }

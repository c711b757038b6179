"""Mean IoU against a plain count, COCO's mean average precision against pycocotools."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from mobileone.tasks.detection.coco_map import coco_map, coco_results
from mobileone.tasks.segmentation.mean_iou import ConfusionMatrix


def test_mean_iou_is_the_plain_count() -> None:
    random = np.random.default_rng(0)
    matrix, truths, founds = ConfusionMatrix(5), [], []
    for _ in range(4):
        truth = random.choice([0, 1, 2, 3, 255], (13, 9))
        found = np.where(random.random((13, 9)) < 0.5, truth, random.integers(0, 4, (13, 9)))
        found[truth == 255] = 200  # what is found where nothing counts does not matter
        matrix.add(truth.astype(np.uint8), found.astype(np.uint8))
        truths.append(truth)
        founds.append(found)
    truth, found = np.concatenate(truths), np.concatenate(founds)
    counted = truth != 255
    expected = [
        ((truth == c) & (found == c)).sum() / (counted & ((truth == c) | (found == c))).sum()
        for c in range(4)
    ]
    np.testing.assert_allclose(matrix.iou[:4], expected, rtol=0, atol=1e-12)
    assert np.isnan(matrix.iou[4])  # neither there nor found
    assert abs(matrix.mean_iou - np.mean(expected)) < 1e-12
    assert matrix.pixel_accuracy == (truth == found)[counted].mean()


def test_labels_that_are_no_class_are_named() -> None:
    matrix = ConfusionMatrix(3)
    with pytest.raises(ValueError, match="truth has label 7; expected 0 to 2, or 255"):
        matrix.add([0, 7], [0, 0])
    with pytest.raises(ValueError, match=r"found has shape \(1,\); expected \(2,\)"):
        matrix.add([0, 1], [0])
    for truth, found, name in (([0.9], [0], "truth"), ([0], [np.nan], "found"), (["a"], [0], "tr")):
        with pytest.raises(ValueError, match=rf"{name}\S* has dtype .*; expected integers"):
            matrix.add(truth, found)
    with pytest.raises(ValueError, match="truth has label 9223372036854775808"):
        matrix.add(np.array([1 << 63], np.uint64), [0])
    matrix.add([], [])
    assert np.isnan(matrix.mean_iou)


def test_a_class_of_many_is_not_ignored_unless_told() -> None:
    with pytest.raises(ValueError, match="classes is 300, and label 255 of them is ignored"):
        ConfusionMatrix(300)
    matrix = ConfusionMatrix(300, ignored=-1)
    matrix.add(np.array([255, -1, 299]), np.array([255, 3, 299], np.uint16))
    assert (matrix.counts.sum(), matrix.mean_iou) == (2, 1.0)
    with pytest.raises(ValueError, match=r"classes is 2\.5; expected an integer"):
        ConfusionMatrix(2.5)  # type: ignore[arg-type]


def reference(truth: dict[str, Any], results: list[dict[str, Any]]) -> Any:
    """pycocotools' twelve numbers."""
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def dataset(boxes: list[dict[str, Any]]) -> Any:
        coco = COCO()
        complete = [
            {"area": b["bbox"][2] * b["bbox"][3], "iscrowd": 0, **b, "id": i + 1}
            for i, b in enumerate(boxes)
        ]
        coco.dataset = {**truth, "annotations": complete}
        coco.createIndex()
        return coco

    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(dataset(truth["annotations"]), dataset(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def scene(seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Crowds, empty pictures, a category without objects, equal scores, boxes that are wrong."""
    random = np.random.default_rng(seed)
    images = [{"id": 10 + i, "height": 200, "width": 200} for i in range(12)]
    truth: dict[str, Any] = {
        "images": images,
        "categories": [{"id": c, "name": str(c)} for c in (1, 3, 7, 9)],
        "annotations": [],
    }
    results = []
    for image in images[:-3]:
        for _ in range(random.integers(0, 12)):
            corner, sides = random.uniform(0, 150, 2), random.uniform(5, 120, 2)
            crowd, label = int(random.random() < 0.15), int(random.choice([1, 2, 3]))
            bbox = [float(v) for v in (*corner, *sides)]
            truth["annotations"].append(
                {"image_id": image["id"], "category_id": (1, 3, 7)[label - 1], "bbox": bbox}
                | {"iscrowd": crowd}
            )
            moved = np.array([*corner, *(corner + sides)]) + random.normal(0, 6, (2, 4))
            scores = random.choice([0.1, 0.5, 0.9], 2) if seed % 2 else random.random(2)
            results += coco_results(image["id"], moved, scores, [label] * 2, (1, 3, 7, 9))
    for _ in range(40):
        corners = random.uniform(0, 100, 2)
        box = [*corners, *(corners + random.uniform(1, 90, 2))]
        image_id = int(random.integers(10, 22))
        results += coco_results(image_id, [box], [random.random()], [4], (1, 3, 7, 9))
    return truth, results


@pytest.mark.parametrize("seed", range(4))
def test_mean_average_precision_is_pycocotools(seed: int) -> None:
    pytest.importorskip("faster_coco_eval")
    truth, results = scene(seed)
    results = [] if seed == 3 else results
    found, expected = coco_map(truth, results), reference(truth, results)
    np.testing.assert_allclose(found[:6], expected[:6], rtol=0, atol=1e-12)
    assert abs(found.recall - expected[8]) < 1e-12


def test_the_hundred_best_boxes_of_a_picture_count() -> None:
    pytest.importorskip("faster_coco_eval")
    box = {"image_id": 1, "category_id": 1, "bbox": [0.0, 0.0, 10.0, 10.0]}
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}], "annotations": [box]}
    wrong = [{**box, "bbox": [50.0, 50.0, 5.0, 5.0], "score": 0.9}] * 100
    assert coco_map(truth, [*wrong, {**box, "score": 0.5}]).map == 0.0
    assert coco_map(truth, [*wrong[1:], {**box, "score": 0.5}]).map == pytest.approx(0.01)


def test_the_hundred_are_of_each_category() -> None:
    """As in pycocotools: 70 wrong boxes of each of two categories hide none of a third."""
    pytest.importorskip("faster_coco_eval")
    truth, _ = scene(0)
    random = np.random.default_rng(5)
    results = []
    for image in truth["images"]:
        for label in (1, 2, 3):
            corners = random.uniform(0, 150, (70, 2))
            boxes = np.concatenate([corners, corners + random.uniform(5, 120, (70, 2))], 1)
            scores = random.random(70)
            results += coco_results(image["id"], boxes, scores, [label] * 70, (1, 3, 7, 9))
    found, expected = coco_map(truth, results), reference(truth, results)
    np.testing.assert_allclose(found[:6], expected[:6], rtol=0, atol=1e-12)
    assert found.map_50 > 0


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(ValueError, match="truth has no 'categories'"):
        coco_map({"images": [], "annotations": []}, [])
    truth = {"images": [{"id": 1}], "categories": [{"id": 1, "name": "a"}], "annotations": []}
    result = {"image_id": 5, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 1.0}
    with pytest.raises(ValueError, match="a result is of image_id 5"):
        coco_map(truth, [result])
    result["image_id"] = 1
    for name in result:
        with pytest.raises(ValueError, match=rf"results\[1\] is .*; expected a dict with .*{name}"):
            coco_map(truth, [result, {k: v for k, v in result.items() if k != name}])
    for box in ([0, 0, float("nan"), 1], [0, 0, 1]):
        with pytest.raises(
            ValueError, match=r"results\[0\] has bbox .*; expected left, top, width"
        ):
            coco_map(truth, [{**result, "bbox": box}])
        with pytest.raises(ValueError, match=r"annotations\[0\] has bbox"):
            coco_map({**truth, "annotations": [{**result, "bbox": box}]}, [])
    for name in ("image_id", "category_id"):
        with pytest.raises(ValueError, match=rf"annotations\[0\] has {name} 9, which is not among"):
            coco_map({**truth, "annotations": [{**result, name: 9}]}, [])
    with pytest.raises(ValueError, match=r"results\[0\] is 'a'; expected a dict"):
        coco_map(truth, {"a": 1})  # type: ignore[arg-type]
    pytest.importorskip("faster_coco_eval")
    assert coco_map(truth, []).map == -1.0

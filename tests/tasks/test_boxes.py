"""Anchors, decoding and suppression against the formulas, written slowly in float64."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from mobileone._core import detect_boxes, suppress_boxes
from mobileone.tasks.detection.boxes import boxes_of_maps
from mobileone.tasks.detection.codes import anchors_of
from mobileone.tasks.detection.rule import DetectionRule
from numpy.typing import NDArray

# Of a picture of 320 x 320.
SIZES = ((20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))
CELLS = (6, 6, 6, 6, 6, 4)


def slow_anchors(sizes: tuple[tuple[int, int], ...] = SIZES) -> NDArray:
    scales = pairwise(np.linspace(0.1, 1.05, 7))
    rows = []
    for (height, width), (low, high), cells in zip(sizes, scales, CELLS, strict=True):
        for y in range(height):
            for x in range(width):
                shapes = [(low, low), (math.sqrt(low * high),) * 2]
                for ratio in (2, 3)[: (cells - 2) // 2]:
                    r = math.sqrt(ratio)
                    shapes += [(low * r, low / r), (low / r, low * r)]
                rows += [((x + 0.5) / width, (y + 0.5) / height, *shape) for shape in shapes]
    return np.clip(np.array(rows), 0, 1)


def slow_iou(a: NDArray, b: NDArray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if min(sides) <= 0:
        return 0.0
    both = sides[0] * sides[1]
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return both / (sum(areas) - both)


def slow_boxes(maps: list[NDArray], classes: int, rule: DetectionRule) -> list[tuple]:
    """(box, score, label) of one picture, in units of its sides, by falling scores."""
    rows = np.concatenate([m.transpose(1, 2, 0).reshape(-1, 4 + classes) for m in maps]).astype(
        np.float64
    )
    anchors = anchors_of(tuple(m.shape[1:] for m in maps)).astype(np.float64)
    powers = np.exp(rows[:, 4:] - rows[:, 4:].max(1, keepdims=True))
    scores = powers / powers.sum(1, keepdims=True)
    centre = anchors[:, :2] + rows[:, :2] * 0.1 * anchors[:, 2:]
    half = anchors[:, 2:] * np.exp(0.2 * rows[:, 2:4]) / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    found = []
    for label in range(1, classes):
        best = np.argsort(-scores[:, label], kind="stable")
        order = [i for i in best if scores[i, label] > rule.score][: rule.candidates]
        kept: list[int] = []
        for i in order:
            if all(slow_iou(boxes[i], boxes[k]) <= rule.overlap for k in kept):
                kept.append(i)
        found += [(boxes[i], scores[i, label], label) for i in kept]
    return sorted(found, key=lambda row: -row[1])[: rule.most]


def noise(classes: int, seed: int, sizes: tuple[tuple[int, int], ...] = SIZES) -> list[NDArray]:
    random = np.random.default_rng(seed)
    shapes = [(a * (4 + classes), *size) for a, size in zip(CELLS, sizes, strict=True)]
    return [random.normal(0, 2, shape).astype(np.float32) for shape in shapes]


def test_anchors_are_those_of_the_formula() -> None:
    found = anchors_of(SIZES)
    assert found.shape == (3232, 4)
    np.testing.assert_array_equal(found, slow_anchors().astype(np.float32))


def test_anchors_of_a_picture_that_is_not_square() -> None:
    sizes = ((4, 7), (2, 4), (1, 2), (1, 1), (1, 1), (1, 1))
    np.testing.assert_array_equal(anchors_of(sizes), slow_anchors(sizes).astype(np.float32))


@pytest.mark.parametrize(
    ("classes", "rule"),
    [
        (5, DetectionRule()),
        (5, DetectionRule(score=0.3, overlap=0.2, candidates=20, most=15)),
        (81, DetectionRule(score=0.2)),
        (3, DetectionRule(score=0.0, overlap=1.0, candidates=9, most=10_000)),
    ],
)
def test_boxes_equal_a_slow_reference(classes: int, rule: DetectionRule) -> None:
    sizes = ((6, 5), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
    images = [noise(classes, seed, sizes) for seed in range(2)]
    maps = {f"map{i}": np.stack([m[i] for m in images]) for i in range(6)}
    found = boxes_of_maps(maps, classes, [(1000, 1000)] * 2, rule)
    for one, image in zip(found, images, strict=True):
        expected = slow_boxes(image, classes, rule)
        assert len(one.scores) == len(expected)
        np.testing.assert_array_equal(one.labels, [label for _, _, label in expected])
        # exp's last bit may differ between NumPy and the C library, and is divided once.
        np.testing.assert_allclose(one.scores, [s for _, s, _ in expected], rtol=1e-14)
        boxes = np.clip(1000 * np.array([box for box, _, _ in expected]), 0, 1000)
        np.testing.assert_allclose(one.boxes, boxes, rtol=1e-13, atol=1e-10)


def test_of_equal_scores_the_smaller_class_and_the_earlier_anchor_come_first() -> None:
    maps = [np.zeros((a * 7, *size), np.float32) for a, size in zip(CELLS, SIZES, strict=True)]
    arrays = [m[None] for m in maps]
    ((boxes, scores, labels),) = detect_boxes(arrays, anchors_of(SIZES), 3, 0, 0.1, 50, 1.0, 60)
    np.testing.assert_array_equal(scores, np.full(60, 1 / 3))
    np.testing.assert_array_equal(labels, [1] * 50 + [2] * 10)
    centres = (boxes[:10, :2] + boxes[:10, 2:]) / 2
    np.testing.assert_allclose(centres, anchors_of(SIZES)[:10, :2], rtol=1e-6)


def test_suppression_is_torchvisions_rule() -> None:
    """More than the threshold is suppressed, exactly the threshold is not; by kept ones."""
    boxes = np.array([[0, 0, 2, 2], [0, 1, 2, 3], [0, 0, 2, 1], [5, 5, 5, 5], [5, 5, 5, 5]], float)
    assert list(suppress_boxes(boxes, 0.5)) == [0, 1, 2, 3, 4]  # overlaps 1/3, 1/2; empty ones
    assert list(suppress_boxes(boxes, 0.49)) == [0, 1, 3, 4]
    assert list(suppress_boxes(boxes, 0.2)) == [0, 3, 4]
    assert list(suppress_boxes(np.empty((0, 4)), 0.5)) == []


def test_what_is_not_finite_crashes_nothing() -> None:
    maps = [m[None] for m in noise(3, 0)]
    maps[0][0, :7, 0, 0] = np.nan
    maps[1][0, 2:4] = 1e30
    ((boxes, scores, _),) = detect_boxes(maps, anchors_of(SIZES), 3, 0, 0.01, 400, 0.5, 200)
    assert len(boxes) == len(scores) > 0
    assert np.isfinite(scores).all()


def test_bad_arguments_are_named() -> None:
    maps = [m[None] for m in noise(3, 0)]
    with pytest.raises(ValueError, match=r"maps have 3232 anchors; expected 5"):
        detect_boxes(maps, anchors_of(SIZES)[:5], 3, 0, 0.01, 400, 0.5, 200)
    with pytest.raises(ValueError, match="a multiple of 8"):
        detect_boxes(maps, anchors_of(SIZES), 4, 0, 0.01, 400, 0.5, 200)
    with pytest.raises(ValueError, match="score is 2; expected 0 to 1"):
        DetectionRule(score=2).check()
    for score in ("0.3", None, float("nan")):
        with pytest.raises(ValueError, match=r"score is .*; expected 0 to 1"):
            DetectionRule(score=score).check()  # type: ignore[arg-type]
    assert DetectionRule(most=np.int64(3), candidates=1 << 70).check().most == 3
    with pytest.raises(ValueError, match="most is 0; expected an integer"):
        DetectionRule(most=0).check()

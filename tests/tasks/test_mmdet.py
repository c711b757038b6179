"""mmdet's SSDLite: anchors by its formula, boxes against a slow reference, its loss, ONNX."""

from __future__ import annotations

import copy
import math
from itertools import pairwise
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from cases import images
from mobileone.data.datasets.objects import Objects
from mobileone.tasks.detection.boxes import boxes_of_maps
from mobileone.tasks.detection.codes import MMDET
from mobileone.tasks.detection.rule import DetectionRule
from mobileone.tasks.detection.targets import anchor_targets, detector_loss
from multibox import rows_of, slow_loss, slow_match
from numpy.typing import NDArray

SIZES = ((20, 20), (10, 10), (5, 5), (3, 3), (2, 2), (1, 1))
STRIDES = (16, 32, 64, 107, 160, 320)
EDGES = (48, 100, 150, 202, 253, 304, 320)


def slow_anchors(sizes: tuple[tuple[int, int], ...], height: int, width: int) -> NDArray:
    """Pixels first, as mmdet's SSDAnchorGenerator: nothing is cut at the border."""
    rows = []
    for (h, w), stride, low, high in zip(sizes, STRIDES, EDGES[:-1], EDGES[1:], strict=True):
        middle = math.sqrt(low * high)
        for y in range(h):
            for x in range(w):
                shapes = [(low, low), (middle, middle)]
                shapes += [(low * math.sqrt(2), low / math.sqrt(2))]
                shapes += [(low / math.sqrt(2), low * math.sqrt(2))]
                shapes += [(low * math.sqrt(3), low / math.sqrt(3))]
                shapes += [(low / math.sqrt(3), low * math.sqrt(3))]
                cx, cy = (x + 0.5) * stride, (y + 0.5) * stride
                rows += [(cx / width, cy / height, a / width, b / height) for a, b in shapes]
    return np.array(rows)


def noise(classes: int, images: int, sizes: tuple[tuple[int, int], ...]) -> dict[str, NDArray]:
    random, maps = np.random.default_rng(classes), {}
    for i, size in enumerate(sizes):
        # Offsets that move boxes out of the picture, too.
        for name, numbers, spread in (("scores", classes, 2), ("offsets", 4, 8)):
            shape = (images, 6 * numbers, *size)
            maps[f"{name}{i}"] = random.normal(0, spread, shape).astype(np.float32)
    return maps


def rows_of_maps(maps: dict[str, NDArray], classes: int) -> tuple[NDArray, NDArray]:
    """Scores [N, anchors, classes] and offsets [N, anchors, 4] in float64."""
    found = []
    for name, numbers in (("scores", classes), ("offsets", 4)):
        parts = [m for key, m in maps.items() if key.startswith(name)]
        rows = [m.transpose(0, 2, 3, 1).reshape(len(m), -1, numbers) for m in parts]
        found.append(np.concatenate(rows, 1).astype(np.float64))
    return found[0], found[1]


def test_anchors_are_mmdets() -> None:
    found = MMDET.anchors(SIZES, (320, 320))
    assert found.shape == (3234, 4)
    np.testing.assert_array_equal(found, slow_anchors(SIZES, 320, 320).astype(np.float32))
    # The widest one, 526 pixels, and the fourth level's first centre, 53.5.
    assert round(320 * float(found[:, 2].max())) == 527
    assert 320 * found[(400 + 100 + 25) * 6, 0] == pytest.approx(53.5)
    other = ((4, 6), (2, 3), (1, 2), (1, 1), (1, 1), (1, 1))
    expected = slow_anchors(other, 64, 96).astype(np.float32)
    np.testing.assert_array_equal(MMDET.anchors(other, (64, 96)), expected)


def slow_iou(a: NDArray, b: NDArray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    if min(sides) <= 0:
        return 0.0
    both = sides[0] * sides[1]
    return both / (sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - both)


@pytest.mark.parametrize(("classes", "per_map"), [(4, 1000), (4, 30), (9, 15)])
def test_boxes_equal_a_slow_reference(classes: int, per_map: int) -> None:
    """Of each map the best, boxes cut at the border, then suppression class by class."""
    sizes = ((6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
    maps, rule = noise(classes, 2, sizes), DetectionRule(0.1, 0.45, 6000, 60)
    code = copy.copy(MMDET)
    object.__setattr__(code, "per_map", per_map)
    found = boxes_of_maps(maps, classes, [(1000, 1000)] * 2, rule, code, (96, 96))
    scores, offsets = rows_of_maps(maps, classes)
    anchors = MMDET.anchors(sizes, (96, 96)).astype(np.float64)
    ends = np.cumsum([0] + [6 * h * w for h, w in sizes])
    for image in range(2):
        powers = np.exp(scores[image] - scores[image].max(1, keepdims=True))
        shares = powers / powers.sum(1, keepdims=True)
        centre = anchors[:, :2] + 0.1 * offsets[image, :, :2] * anchors[:, 2:]
        growth = np.clip(0.2 * offsets[image, :, 2:], -math.log(62.5), math.log(62.5))
        half = anchors[:, 2:] * np.exp(growth) / 2
        boxes = np.clip(np.concatenate([centre - half, centre + half], 1), 0, 1)
        pairs = []
        for begin, end in pairwise(ends):
            own = [
                (shares[a, c], c, a)
                for a in range(begin, end)
                for c in range(classes - 1)
                if shares[a, c] > 0.1
            ]
            pairs += sorted(own, key=lambda pair: -pair[0])[:per_map]
        kept: list[tuple[float, int, int]] = []
        outside = 0
        for score, c, a in sorted(pairs, key=lambda pair: -pair[0]):
            if min(boxes[a][2:] - boxes[a][:2]) <= 0:
                outside += 1
                continue
            rivals = [boxes[k] for _, other, k in kept if other == c]
            if all(slow_iou(boxes[a], rival) <= 0.45 for rival in rivals):
                kept.append((score, c, a))
        kept = kept[:60]
        assert len(kept) > 10
        assert outside > 0
        np.testing.assert_array_equal(found[image].labels, [c + 1 for _, c, _ in kept])
        np.testing.assert_allclose(found[image].scores, [s for s, _, _ in kept], rtol=1e-14)
        expected = 1000 * np.array([boxes[a] for _, _, a in kept])
        np.testing.assert_allclose(found[image].boxes, expected, rtol=1e-13, atol=1e-10)


def test_the_loss_is_that_of_the_background_last() -> None:
    classes, size = 4, 96
    sizes = ((6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
    maps = noise(classes, 1, sizes)
    objects = Objects(np.array([[10.0, 12, 60, 70], [50, 40, 90, 88]]), np.array([1, 3]))
    targets = anchor_targets([objects], (size, size), maps, classes, MMDET)
    loss, gradients = detector_loss(maps, targets, classes, 0.0, MMDET)
    given = {name: torch.from_numpy(m).double().requires_grad_() for name, m in maps.items()}
    # The slow loss has the background first: its scores are put there.
    joined = []
    for i in range(6):
        scores, offsets = given[f"scores{i}"], given[f"offsets{i}"]
        n, _, h, w = scores.shape
        parts = scores.reshape(n, 6, classes, h, w)
        parts = [offsets.reshape(n, 6, 4, h, w), parts[:, :, -1:], parts[:, :, :-1]]
        joined.append(torch.cat(parts, 2).reshape(n, -1, h, w))
    anchors = MMDET.anchors(sizes, (size, size))
    labels, codes = slow_match(objects.boxes / size, objects.labels, anchors)
    expected = slow_loss(
        rows_of(joined, classes),
        torch.from_numpy(labels)[None],
        torch.from_numpy(codes.astype(np.float32)).double()[None],
    )
    expected.backward()
    assert abs(loss - expected.item()) <= 1e-12 * expected.item()
    for found, one in zip(gradients, given.values(), strict=True):
        assert one.grad is not None
        np.testing.assert_allclose(found, one.grad.float(), rtol=2**-23, atol=1e-12)


def test_boxes_of_onnx_are_ours(tmp_path: Path) -> None:
    ort = pytest.importorskip("onnxruntime")
    created = mobileone.create_detector("mobileone_mu0", layout="mmdet", num_classes=4, seed=1)
    model = mobileone.reparameterize(created)
    rule = {"score": 0.3, "overlap": 0.45, "most": 40}
    model.export_onnx(tmp_path / "net.onnx", input_size=64, suppression=rule)
    x = images(2, (64, 64), seed=3)
    run = ort.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    boxes, scores, selected = run.run(None, {"images": x})
    assert scores.shape == (2, 3, boxes.shape[1])
    code = copy.copy(MMDET)
    object.__setattr__(code, "per_map", 0)
    found = DetectionRule(0.3, 0.45, candidates=10_000, most=10_000)
    expected = boxes_of_maps(model(x), 4, [(1, 1)] * 2, found, code, (64, 64))
    total = 0
    for image, ours in enumerate(expected):
        for label in range(1, 4):
            rows = selected[(selected[:, 0] == image) & (selected[:, 1] == label - 1)]
            theirs = boxes[image, rows[:, 2]]
            theirs = theirs[(theirs[:, 2:] > theirs[:, :2]).all(1)]  # ONNX's keeps those outside
            best = ours.boxes[ours.labels == label]
            assert len(theirs) == len(best) if len(rows) < 40 else len(theirs) <= len(best)
            np.testing.assert_allclose(best[: len(theirs)], theirs, rtol=0, atol=1e-5)
            total += len(best)
    assert total > 10

"""What anchors stand for, and a detector's loss with its gradients, against slow definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mobileone._core import match_anchors, multibox_loss
from mobileone.data.datasets.objects import Objects
from mobileone.tasks.detection.codes import anchors_of
from mobileone.tasks.detection.targets import anchor_targets, detector_loss
from multibox import rows_of, slow_loss, slow_match
from numpy.typing import NDArray

MAPS = ((6, 6), (3, 3), (2, 2), (1, 1), (1, 1), (1, 1))
CELLS = (6, 6, 6, 6, 6, 4)
CLASSES = 5
# What an image of 96 x 96 pixels would give.
SHAPED = {f"map{i}": np.zeros((1, 1, *size), np.float32) for i, size in enumerate(MAPS)}


def scene(random: np.random.Generator, count: int, size: int = 96) -> Objects:
    corners = random.uniform(0, 0.7 * size, (count, 2))
    sides = random.uniform(0.05 * size, 0.5 * size, (count, 2))
    return Objects(np.concatenate([corners, corners + sides], 1), random.integers(1, 5, count))


def noise(random: np.random.Generator, images: int) -> dict[str, NDArray]:
    shapes = [(images, a * (4 + CLASSES), *size) for a, size in zip(CELLS, MAPS, strict=True)]
    return {
        f"map{i}": random.normal(0, 2, shape).astype(np.float32) for i, shape in enumerate(shapes)
    }


@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_anchors_stand_for_what_they_overlap(count: int) -> None:
    objects = scene(np.random.default_rng(count), count)
    found = anchor_targets([objects], (96, 96), SHAPED, CLASSES)
    labels, offsets = slow_match(objects.boxes / 96, objects.labels, anchors_of(MAPS))
    np.testing.assert_array_equal(found.labels[0], labels)
    # Offsets are rounded once; their float64 terms are below 50, rounding 1e-14.
    np.testing.assert_allclose(
        found.offsets[0], offsets.astype(np.float32), rtol=2**-23, atol=1e-12
    )
    assert (labels > 0).sum() >= min(count, 1)


def test_every_object_has_an_anchor_and_the_last_one_wins() -> None:
    anchors = np.array([[0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.1, 0.1]], np.float32)
    small = np.array([[0.5, 0.5, 0.51, 0.51], [0.45, 0.45, 0.47, 0.47]])
    labels, offsets = match_anchors(small, np.array([1, 2]), anchors, 0, 0.5)
    assert labels.tolist() == [2, 0]
    assert offsets[1].tolist() == [0, 0, 0, 0]
    # Exactly half is enough.
    half = np.array([[0.25, 0.25, 0.75, 0.5]])
    assert match_anchors(half, np.array([3]), anchors[:1].repeat(2, 0), 0, 0.5)[0].tolist() == [
        3,
        3,
    ]


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("counts", [(0, 0), (1, 0, 7), (40,)])
def test_the_loss_and_its_gradients_are_pytorchs(counts: tuple[int, ...], smoothing: float) -> None:
    random = np.random.default_rng(sum(counts))
    maps = noise(random, len(counts))
    targets = anchor_targets([scene(random, n) for n in counts], (96, 96), maps, CLASSES)
    loss, gradients = detector_loss(maps, targets, CLASSES, smoothing)
    given = [torch.from_numpy(m).double().requires_grad_() for m in maps.values()]
    rows = rows_of(given, CLASSES)
    offsets = torch.from_numpy(targets.offsets).double()
    expected = slow_loss(rows, torch.from_numpy(targets.labels), offsets, smoothing)
    expected.backward()
    assert abs(loss - expected.item()) <= 1e-12 * max(1.0, expected.item())
    for found, one in zip(gradients, given, strict=True):
        assert one.grad is not None
        # Rounded once to float32.
        np.testing.assert_allclose(found, one.grad.float(), rtol=2**-23, atol=1e-12)
    if not sum(counts):
        assert loss == 0.0


def test_of_equal_negatives_the_first_are_hard() -> None:
    maps = {name: np.zeros_like(m) for name, m in noise(np.random.default_rng(0), 1).items()}
    targets = anchor_targets(
        [Objects(np.array([[0.0, 0, 90, 90]]), np.array([1]))], (96, 96), maps, CLASSES
    )
    _, gradients = detector_loss(maps, targets, CLASSES)
    rows = rows_of([torch.from_numpy(g) for g in gradients], CLASSES)[0]
    learned = torch.nonzero(rows[:, 4:].abs().sum(1))[:, 0].tolist()
    own = np.flatnonzero(targets.labels[0]).tolist()
    others = [i for i in range(len(rows)) if i not in own][: 3 * len(own)]
    assert learned == sorted(own + others)


def test_what_is_not_finite_makes_the_loss_so() -> None:
    maps = noise(np.random.default_rng(0), 1)
    maps["map0"][0, 7, 5, 5] = np.nan
    targets = anchor_targets([scene(np.random.default_rng(1), 2)], (96, 96), maps, CLASSES)
    assert np.isnan(detector_loss(maps, targets, CLASSES)[0])


def test_what_does_not_fit_is_named() -> None:
    maps = list(noise(np.random.default_rng(0), 1).values())
    labels, offsets = np.zeros((1, 30), np.int64), np.zeros((1, 30, 4), np.float32)
    how = (CLASSES, 0, 3.0, 0.0, [m.copy() for m in maps])
    with pytest.raises(ValueError, match="image 0 has 30 targets; expected one for each of 310"):
        multibox_loss(maps, labels, offsets, *how)
    with pytest.raises(ValueError, match="label 7; expected 0 to 4"):
        multibox_loss(maps, labels + 7, offsets, *how)
    with pytest.raises(ValueError, match=r"expected \[1, n\] and \[1, n, 4\]"):
        multibox_loss(maps, labels[0], offsets, *how)

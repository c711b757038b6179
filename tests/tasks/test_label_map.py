"""The class of every pixel against whole interpolated logits in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mobileone._core import label_map
from numpy.typing import NDArray


def interpolated(logits: NDArray, size: tuple[int, int], align_corners: bool) -> NDArray:
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(logits)[None].double(), size, mode="bilinear", align_corners=align_corners
    )
    return whole[0].numpy()


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("size", [(64, 96), (7, 5), (37, 101), (1, 1), (5, 7)])
def test_labels_are_the_largest_interpolated_logits(
    size: tuple[int, int], align_corners: bool
) -> None:
    logits = np.random.default_rng(1).normal(0, 1, (6, 5, 7)).astype(np.float32)
    found = label_map(logits, *size, align_corners)
    assert found.dtype == np.uint8
    whole = interpolated(logits, size, align_corners)
    # Where two classes are as good as equal, rounding decides: 6 operations of relative error u.
    best = np.take_along_axis(whole, found[None].astype(np.int64), 0)[0]
    assert (whole.max(0) - best).max() <= 6 * 2.0**-53 * np.abs(logits).max()
    assert (found == whole.argmax(0)).mean() > 0.999


@pytest.mark.parametrize("align_corners", [False, True])
def test_of_equal_logits_the_first_class_is_taken(align_corners: bool) -> None:
    logits = np.zeros((4, 3, 3), np.float32)
    logits[1:] = 1.0
    assert (label_map(logits, 9, 9, align_corners) == 1).all()


def test_many_classes() -> None:
    logits = np.zeros((300, 2, 2), np.float32)
    logits[299] = 1.0
    found = label_map(logits, 3, 3, False)
    assert found.dtype == np.uint16
    assert (found == 299).all()


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match=r"logits have 2 dimensions"):
        label_map(np.zeros((2, 2), np.float32), 4, 4, False)
    with pytest.raises(ValueError, match=r"size is 0 x 4"):
        label_map(np.zeros((2, 2, 2), np.float32), 0, 4, False)

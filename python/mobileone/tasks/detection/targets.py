"""What a detector's maps are compared with, and the loss of the comparison (SSD's multibox loss).

Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, section 2.2; with the numbers that the
authors of MobileViT train with: an anchor is an object's from an overlap of 0.5 on, three hard
negatives for each such anchor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mobileone._core import match_anchors, multibox_loss
from mobileone.tasks.detection.codes import CVNETS

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32
    from mobileone.data.datasets.objects import Objects
    from mobileone.tasks.detection.codes import BoxCode

__all__ = ["AnchorTargets", "anchor_targets", "detector_loss"]

# Boxes around objects that overlap an anchor at least so much are learned by it.
OVERLAP = 0.5
# Anchors of the background that count for each anchor of an object.
NEGATIVES = 3.0


class AnchorTargets(NamedTuple):
    """Of each anchor of a batch of pictures.

    Attributes:
        labels: int64 [N, anchors], numbers among the scores.
        offsets: float32 [N, anchors, 4], from the anchor to its object.
    """

    labels: npt.NDArray[np.int64]
    offsets: Float32


def anchor_targets(
    objects: Sequence[Objects],
    size: tuple[int, int],
    maps: Mapping[str, Float32],
    classes: int,
    code: BoxCode = CVNETS,
) -> AnchorTargets:
    """What the anchors of a detector's maps stand for.

    Args:
        objects: of each picture, in its pixels.
        size: (height, width) of the pictures.
        maps: what the detector gives for them.
        classes: with the background.
        code: of the maps.
    """
    anchors = code.anchors(code.sizes(maps), size)
    background = code.background(classes)
    first = 0 if background else 1
    scale = np.tile([size[1], size[0]], 2).astype(np.float64)
    found = [
        match_anchors(one.boxes / scale, one.labels - 1 + first, anchors, background, OVERLAP)
        for one in objects
    ]
    return AnchorTargets(np.stack([f[0] for f in found]), np.stack([f[1] for f in found]))


def detector_loss(
    maps: Mapping[str, Float32],
    targets: AnchorTargets,
    classes: int,
    label_smoothing: float = 0.0,
    code: BoxCode = CVNETS,
) -> tuple[float, list[Float32]]:
    """The loss of a batch, divided by the number of its objects' anchors, and its gradients.

    Args:
        maps: what a detector gives.
        targets: see `anchor_targets`.
        classes: with the background.
        label_smoothing: share of a label that is spread over all classes.
        code: of the maps.

    Returns:
        The loss; 0 without objects. Its gradient for each map.
    """
    arrays = code.joined(maps, classes)
    gradients = [np.empty(array.shape, np.float32) for array in arrays]
    how = (classes, code.background(classes), NEGATIVES, label_smoothing)
    loss = multibox_loss(arrays, targets.labels, targets.offsets, *how, gradients)
    return loss, code.parted(gradients, classes)

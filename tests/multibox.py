"""What a detector learns, slowly: matching in loops, the loss by PyTorch in float64."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

__all__ = ["rows_of", "slow_loss", "slow_match"]


def slow_match(boxes: NDArray, labels: NDArray, anchors: NDArray) -> tuple[NDArray, NDArray]:
    """Of each anchor (centre x, centre y, width, height): a label, 0 for none, and offsets."""
    anchors = anchors.astype(np.float64)
    overlaps = np.zeros((len(anchors), len(boxes)))
    for i, (x, y, w, h) in enumerate(anchors):
        for j, (left, top, right, bottom) in enumerate(boxes):
            wide = min(x + w / 2, right) - max(x - w / 2, left)
            high = min(y + h / 2, bottom) - max(y - h / 2, top)
            if wide > 0 and high > 0:
                union = w * h + (right - left) * (bottom - top) - wide * high
                overlaps[i, j] = wide * high / union
    owner = np.full(len(anchors), -1)
    for i, row in enumerate(overlaps):
        if len(boxes) and row.max() >= 0.5:
            owner[i] = row.argmax()
    for j in range(len(boxes)):
        owner[overlaps[:, j].argmax()] = j
    found, offsets = np.zeros(len(anchors), np.int64), np.zeros((len(anchors), 4))
    for i, j in enumerate(owner):
        if j >= 0:
            x, y, w, h = anchors[i]
            left, top, right, bottom = boxes[j]
            found[i] = labels[j]
            offsets[i] = [
                ((left + right) / 2 - x) / w / 0.1,
                ((top + bottom) / 2 - y) / h / 0.1,
                np.log((right - left) / w) / 0.2,
                np.log((bottom - top) / h) / 0.2,
            ]
    return found, offsets


def rows_of(maps: list[Tensor], classes: int) -> Tensor:
    """[N, anchors, 4 + classes]."""
    return torch.cat([m.permute(0, 2, 3, 1).reshape(len(m), -1, 4 + classes) for m in maps], dim=1)


def slow_loss(rows: Tensor, labels: Tensor, offsets: Tensor, smoothing: float = 0.0) -> Tensor:
    """Smooth L1 and cross entropy over objects' anchors, and three hard negatives for each."""
    scores, total, positives = rows[..., 4:], rows.new_zeros(()), int((labels > 0).sum())
    for image in range(len(rows)):
        own = labels[image] > 0
        ranks = -F.log_softmax(scores[image], -1)[:, 0].detach()
        others = torch.nonzero(~own)[:, 0]
        hard = others[torch.argsort(-ranks[others], stable=True)[: 3 * int(own.sum())]]
        chosen = torch.cat([torch.nonzero(own)[:, 0], hard])
        total = total + F.cross_entropy(
            scores[image, chosen], labels[image, chosen], reduction="sum", label_smoothing=smoothing
        )
        total = total + F.smooth_l1_loss(rows[image, own, :4], offsets[image, own], reduction="sum")
    return total / max(positives, 1)

"""What quantization does to a network's answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32
from mobileone.network.bundle import Bundle
from mobileone.network.session import Session
from mobileone.quantization.images import Labelled
from mobileone.verification.stages import same_classes

__all__ = ["Agreement", "judge"]

_BATCH = 16


@dataclass(frozen=True)
class Agreement:
    """Two networks on the same images.

    Attributes:
        data: which.
        images: how many.
        sqnr: of the quantized one's results, in dB.
        agreement: share of images, of a segmenter of pixels, of a detector of anchors, of which
            both have the same most probable class.
        labelled: images with labels.
        top1_before: the float network's accuracy on these; None without any.
        top1_after: the quantized one's.
    """

    data: str
    images: int
    sqnr: float
    agreement: float | None = None
    labelled: int = 0
    top1_before: float | None = None
    top1_after: float | None = None


def judge(data: str, exact: Bundle, quantized: Bundle, images: Iterable[Labelled]) -> Agreement:
    """Run both on all of them.

    Raises:
        ValueError: no images.
    """
    sessions = [Session(bundle) for bundle in (exact, quantized)]
    signal = noise = 0.0
    count = labelled = 0
    same: list[npt.NDArray[np.bool_]] = []
    right = np.zeros(2, np.int64)
    rest = iter(images)
    while batch := list(islice(rest, _BATCH)):
        x = np.concatenate([item.image for item in batch])
        before, after = (_results(session.evaluated(x)) for session in sessions)
        for a, b in zip(before, after, strict=True):
            signal += float(np.square(a, dtype=np.float64).sum())
            noise += float(np.square(b.astype(np.float64) - a).sum())
        count += len(batch)
        same.append(same_classes(before, after, exact))
        if exact.task != "classification":
            continue
        top = np.stack([before[0].argmax(1), after[0].argmax(1)])
        for i, item in enumerate(batch):
            labelled += bool(item.right)
            right += [int(found) in item.right for found in top[:, i]]
    if not count:
        raise ValueError(f"{data} has no images; expected at least one")
    quality = 10 * float(np.log10(signal / noise)) if signal and noise else float("inf")
    accuracy = [int(n) / labelled for n in right] if labelled else [None, None]
    share = float(np.concatenate(same).mean())
    return Agreement(data, count, quality, share, labelled, *accuracy)


def _results(found: Any) -> list[Float32]:
    """Of a network of several, too."""
    return list(found.values()) if isinstance(found, dict) else [found]

"""What a loss compares logits with: a distribution over classes for every image."""

from __future__ import annotations

from typing import Any

import numpy as np

from mobileone.data.arrays import Float32, as_numpy

__all__ = ["as_targets"]


def as_targets(labels: Any, images: int, classes: int, label_smoothing: float = 0.0) -> Float32:
    """Class indices (N,) or distributions (N, K) as the loss takes them, float32 (N, K).

    Label smoothing (Szegedy et al. 2016) mixes in the uniform distribution: (1 - s) t + s / K, as
    PyTorch's cross entropy does, of soft targets too.

    Raises:
        ValueError: another shape, an index that is no class, or smoothing outside of [0, 1].
        TypeError: neither integers nor floating-point numbers.
    """
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"label_smoothing is {label_smoothing!r}; expected 0 to 1")
    array = as_numpy(labels)
    if array.dtype.kind in "iu":
        if array.shape != (images,):
            raise ValueError(f"labels have shape {array.shape}; expected ({images},) class indices")
        if images and not 0 <= int(array.min()) <= int(array.max()) < classes:
            wrong = int(array[(array < 0) | (array >= classes)][0])
            raise ValueError(f"labels contain {wrong}; expected 0 to {classes - 1}")
        targets = np.full((images, classes), label_smoothing / classes)
        targets[np.arange(images), array.astype(np.int64)] += 1.0 - label_smoothing
    elif array.dtype.kind == "f":
        if array.shape != (images, classes):
            raise ValueError(
                f"labels have shape {array.shape}; expected ({images}, {classes}) probabilities, "
                f"or ({images},) class indices"
            )
        targets = array.astype(np.float64) * (1.0 - label_smoothing) + label_smoothing / classes
    else:
        raise TypeError(
            f"labels have dtype {array.dtype}; expected integers (class indices) or floating point"
        )
    return np.ascontiguousarray(targets, np.float32)

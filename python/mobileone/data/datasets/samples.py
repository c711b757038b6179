"""Labelled images, one by one: what a loader makes batches of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mobileone.data.arrays import as_numpy
from mobileone.data.preprocessing import pillow

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image as PillowImage

__all__ = ["ArraySamples", "Samples", "check_labels"]


class Samples(Protocol):
    """Labelled images.

    Attributes:
        labels: class indices [N], or probabilities [N, K].
        class_names: what the classes are called, if that is known.
    """

    labels: npt.NDArray[Any]
    class_names: tuple[str, ...] | None

    def image(self, index: int) -> PillowImage.Image:
        """One image, of mode RGB or L."""


class ArraySamples:
    """Images in memory: uint8, [N, H, W, C] or [N, C, H, W], of 1 or 3 channels; RGB.

    Raises:
        TypeError: not uint8, or labels that are neither integers nor floating point.
        ValueError: shapes that do not fit.
    """

    def __init__(
        self, images: Any, labels: Any, class_names: tuple[str, ...] | None = None
    ) -> None:
        pixels = as_numpy(images)
        if pixels.dtype != np.uint8:
            raise TypeError(f"images has dtype {pixels.dtype}; expected uint8 pixels")
        if pixels.ndim != 4 or (pixels.shape[3] not in (1, 3) and pixels.shape[1] not in (1, 3)):
            raise ValueError(
                f"images has shape {pixels.shape}; expected (N, H, W, C) or (N, C, H, W), "
                "C being 1 or 3"
            )
        last = pixels.shape[3] in (1, 3)
        self.pixels = pixels if last else pixels.transpose(0, 2, 3, 1)
        self.labels = check_labels(labels, len(pixels))
        self.class_names = class_names

    def image(self, index: int) -> PillowImage.Image:
        """One image, of mode RGB or L."""
        pixels = self.pixels[index]
        plain = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
        image: PillowImage.Image = pillow("images").fromarray(np.ascontiguousarray(plain))
        return image


def check_labels(labels: Any, count: int) -> npt.NDArray[Any]:
    """Labels as int64 [N], or as float32 probabilities [N, K].

    Raises:
        TypeError: neither integers nor floating point.
        ValueError: another number of them, a negative one, or probabilities that do not sum to 1.
    """
    array = as_numpy(labels)
    if array.ndim not in (1, 2) or len(array) != count:
        raise ValueError(
            f"labels has shape {array.shape}; expected ({count},), or ({count}, classes) for "
            "probabilities"
        )
    if array.ndim == 1:
        if array.dtype.kind not in "iu":
            raise TypeError(f"labels has dtype {array.dtype}; expected class indices (integers)")
        if count and array.min() < 0:
            raise ValueError(f"labels has {array.min()}; expected class indices from 0")
        return array.astype(np.int64)
    if array.dtype.kind != "f":
        raise TypeError(f"labels has dtype {array.dtype}; expected probabilities (floating point)")
    soft = array.astype(np.float32)
    sums = soft.sum(1, dtype=np.float64)
    if count and not (soft.min() >= 0 and np.abs(sums - 1).max() <= 1e-3):
        raise ValueError(
            "labels has rows that are no probabilities; expected numbers from 0 that sum to 1"
        )
    return soft

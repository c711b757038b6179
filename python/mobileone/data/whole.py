"""Whole pictures as network input: nothing is cropped, so that results can be laid over them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import resize_pixels
from mobileone.data.arrays import Float32, as_numpy
from mobileone.data.pixels import Pixels, channels_first, normalise
from mobileone.data.preprocessing import is_picture, open_picture

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

__all__ = ["kept_size", "open_pixels", "resized_input", "single_images"]


def single_images(image: Any) -> Iterator[Any]:
    """The images of a list, a tuple or a batch [N, ...], or the one that is given."""
    if isinstance(image, list | tuple):
        yield from image
    elif not is_picture(image) and as_numpy(image).ndim == 4:
        yield from as_numpy(image)
    else:
        yield image


def open_pixels(image: Any) -> Pixels:
    """One image as upright RGB pixels, uint8 [H, W, 3].

    Args:
        image: a path, an open binary file or its bytes, a PIL image, or uint8 RGB, HWC or CHW.

    Raises:
        ValueError: not an image.
        TypeError: arrays of another dtype.
        FileNotFoundError: there is no such file.
        ImportError: a picture, and Pillow is not installed.
    """
    if is_picture(image):
        return np.asarray(open_picture(image, "RGB"))
    array = as_numpy(image)
    if array.dtype != np.uint8:
        raise TypeError(f"image has dtype {array.dtype}; expected a picture, or uint8 pixels")
    if array.ndim != 3 or 0 in array.shape:
        raise ValueError(f"image has shape {array.shape}; expected HWC or CHW pixels")
    return np.ascontiguousarray(channels_first(array[None], 3)[0].transpose(1, 2, 0))


def kept_size(height: int, width: int, shortest: int, multiple: int = 32) -> tuple[int, int]:
    """The size of the same proportions whose shorter side has so many pixels; both sides are
    rounded to multiples, at least one.
    """
    scale = shortest / min(height, width)
    sides = (max(1, round(side * scale / multiple)) * multiple for side in (height, width))
    return next(sides), next(sides)


def resized_input(pixels: Pixels, size: tuple[int, int], config: DataConfig) -> Float32:
    """RGB pixels [H, W, 3] as network input [1, 3, *size], resized without keeping proportions.

    The pixels are those that `Image.resize` of Pillow 13 gives, bit by bit.

    Raises:
        ValueError: a network of other than three channels.
    """
    if len(config.mean) != 3:
        raise ValueError(f"the network has {len(config.mean)} channels; pictures are for three")
    if pixels.shape[:2] != size:
        pixels = resize_pixels(np.ascontiguousarray(pixels), *size, config.interpolation)
    return normalise(pixels.transpose(2, 0, 1)[None], config)

"""The demo's photo: the portrait that ships with the package, or a file; crops of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mobileone.data.preprocessing import ImageError, open_image, pillow

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["Photo", "centre_crop", "load_photo", "random_crops"]

Pixels = npt.NDArray[np.uint8]

# 256 pixels wide, from the photograph of the US Navy (public domain) that matplotlib ships.
_PORTRAIT = Path(__file__).with_name("grace_hopper.npz")


# Of a photo whose short side has been resized.
_MAX_PIXELS = 1 << 26


@dataclass(frozen=True)
class Photo:
    """RGB pixels [height, width, 3] and a sentence that says where they come from."""

    pixels: Pixels
    origin: str


def load_photo(path: str | os.PathLike[str] | None, short_side: int) -> Photo:
    """The photo at ``path``, its short side resized (bilinear, antialiased) to ``short_side``.

    None means the package's public-domain portrait of Grace Hopper. ImageError if the file is not
    an image or would have more than 2^26 pixels, ImportError that names the extra if Pillow is
    needed: for any file, and to resize.
    """
    if path is not None:
        where = os.fsdecode(path)
        return Photo(_resize(open_image(path), short_side, where), where)
    origin = "Grace Hopper (public domain)"
    with np.load(_PORTRAIT) as archive:
        portrait: Pixels = archive["pixels"]
    if min(portrait.shape[:2]) == short_side:
        return Photo(portrait, origin)
    image = pillow(str(_PORTRAIT)).fromarray(portrait)
    return Photo(_resize(image, short_side, origin), origin)


def _resize(image: PillowImage.Image, short_side: int, where: str) -> Pixels:
    from PIL import Image

    scale = short_side / min(image.size)
    size = tuple(max(short_side, round(side * scale)) for side in image.size)
    if size[0] * size[1] > _MAX_PIXELS:
        raise ImageError(
            f"{where}: has {image.width} x {image.height} pixels, {size[0]} x {size[1]} as the "
            f"demo resizes it; expected at most {_MAX_PIXELS} pixels: crop it"
        )
    return np.asarray(image.resize((size[0], size[1]), Image.Resampling.BILINEAR))


def centre_crop(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The central (height, width) window of [H, W, 3] pixels."""
    top, left = ((have - want) // 2 for have, want in zip(pixels.shape, size, strict=False))
    return pixels[top : top + size[0], left : left + size[1]]


def random_crops(
    pixels: Pixels, count: int, size: tuple[int, int], rng: np.random.Generator
) -> Pixels:
    """``count`` random windows [count, height, width, 3], each mirrored with probability 1/2."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, size, axis=(0, 1))
    rows, columns = (rng.integers(0, extent, count) for extent in windows.shape[:2])
    crops: Pixels = windows[rows, columns].transpose(0, 2, 3, 1)
    mirrored = rng.random(count) < 0.5
    return np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)

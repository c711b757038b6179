"""Random crops, flips and affine maps of Pillow images."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from mobileone.data.preprocessing import pillow

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as PillowImage

__all__ = ["crop_box", "random_affine", "random_resized_crop"]

Range = tuple[float, float]
_TRIES = 10


def crop_box(
    size: tuple[int, int], scale: Range, ratio: Range, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """A random box (left, top, width, height) of an image, of a share `scale` of its area.

    The share is uniform, width over height uniform in the logarithm, the place uniform among those
    inside. After ten boxes that do not fit it is the largest central one with an allowed ratio.
    Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.

    Args:
        size: (width, height) of the image.
        scale: smallest and largest share of the area.
        ratio: smallest and largest width / height.
        rng: what is random.
    """
    width, height = size
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(_TRIES):
        area = width * height * (scale[0] + (scale[1] - scale[0]) * rng.random())
        aspect = math.exp(low + (high - low) * rng.random())
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= width and 0 < h <= height:
            left, top = (int(rng.random() * (room + 1)) for room in (width - w, height - h))
            return left, top, w, h
    aspect = min(max(width / height, ratio[0]), ratio[1])
    w = min(width, max(1, round(height * aspect)))
    h = min(height, max(1, round(width / aspect)))
    return (width - w) // 2, (height - h) // 2, w, h


def random_resized_crop(
    image: PillowImage.Image,
    size: tuple[int, int],
    scale: Range,
    ratio: Range,
    interpolation: str,
    rng: np.random.Generator,
) -> PillowImage.Image:
    """A random box of the image (`crop_box`), resized to `size` = (height, width), antialiased."""
    method = pillow("image").Resampling[interpolation.upper()]
    left, top, width, height = crop_box(image.size, scale, ratio, rng)
    # Not resize(box=...), whose filter reaches over the box's border.
    crop = image.crop((left, top, left + width, top + height))
    return crop.resize((size[1], size[0]), method)


def random_affine(
    image: PillowImage.Image,
    degrees: float,
    translate: float,
    scale: float,
    shear: float,
    rng: np.random.Generator,
) -> PillowImage.Image:
    """The image rotated, moved, scaled and sheared about its centre, bilinear, black around it.

    Args:
        image: of mode RGB or L.
        degrees: largest rotation to either side.
        translate: largest move, as a share of width and height.
        scale: largest change of size, 0.1 for factors of 0.9 to 1.1; each axis by itself.
        shear: largest shear to either side, in degrees.
        rng: what is random.
    """
    image_module = pillow("image")
    angle, moved_x, moved_y, grown_x, grown_y, sheared = (2 * rng.random() - 1 for _ in range(6))
    theta, phi = math.radians(degrees * angle), math.tan(math.radians(shear * sheared))
    cos, sin = math.cos(theta), math.sin(theta)
    x_scale, y_scale = 1 / (1 + scale * grown_x), 1 / (1 + scale * grown_y)
    # Output to input, about the centre: undo the move, rotate, shear, scale.
    a, b = x_scale * (cos + phi * sin), x_scale * (phi * cos - sin)
    d, e = y_scale * sin, y_scale * cos
    width, height = image.size
    x, y = width / 2 + translate * width * moved_x, height / 2 + translate * height * moved_y
    c, f = width / 2 - a * x - b * y, height / 2 - d * x - e * y
    where, method = image_module.Transform.AFFINE, image_module.Resampling.BILINEAR
    changed: PillowImage.Image = image.transform(image.size, where, (a, b, c, d, e, f), method)
    return changed

"""Augmentation: what happens to an image before a network trains on it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.data.augmentation.autoaugment import auto_augment
from mobileone.data.augmentation.geometry import random_affine, random_resized_crop

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as PillowImage

__all__ = ["Augmentation"]


@dataclass(frozen=True)
class Augmentation:
    """Random resized crop, flip, affine map and AutoAugment, in this order; each can be left out.

    The defaults are those of MobileOne-S0 and S1 (section 4): crops and flips. S2 to S4 add
    `auto_augment`.

    Attributes:
        crop_scale: share of the area that a crop keeps; None resizes the whole image instead.
        crop_ratio: width / height of a crop.
        flip: probability of a mirrored image.
        degrees, translate, scale, shear: an affine map's largest change, see
            `geometry.random_affine`; all 0: none. The curriculum's strength multiplies them.
        auto_augment: whether a sub-policy of AutoAugment's for ImageNet is drawn, with levels
            multiplied by the curriculum's strength.

    Raises:
        ValueError: a value out of range.
    """

    crop_scale: tuple[float, float] | None = (0.08, 1.0)
    crop_ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    degrees: float = 0.0
    translate: float = 0.0
    scale: float = 0.0
    shear: float = 0.0
    auto_augment: bool = False

    def __post_init__(self) -> None:
        for name, most in (("crop_scale", 1.0), ("crop_ratio", math.inf)):
            pair = getattr(self, name)
            if pair is None and name == "crop_scale":
                continue
            object.__setattr__(self, name, _range(name, pair, most))
        limits = {"flip": 1.0, "degrees": 180.0, "translate": 1.0, "scale": 0.99, "shear": 89.0}
        for name, most in limits.items():
            value = getattr(self, name)
            if not _is_number(value) or not 0 <= value <= most:
                raise ValueError(f"{name} is {value!r}; expected a number from 0 to {most:g}")

    def __call__(
        self,
        image: PillowImage.Image,
        size: tuple[int, int],
        rng: np.random.Generator,
        *,
        strength: float = 1.0,
        interpolation: str = "bilinear",
    ) -> PillowImage.Image:
        """A changed copy of the image.

        Args:
            image: of mode RGB or L.
            size: (height, width) of what comes out.
            rng: what is random.
            strength: 0 to 1, of the affine map and AutoAugment.
            interpolation: "bilinear" or "bicubic", of the crop.
        """
        whole = ((1.0, 1.0), (image.width / image.height,) * 2)
        scale, ratio = whole if self.crop_scale is None else (self.crop_scale, self.crop_ratio)
        if self.crop_scale is not None or image.size != (size[1], size[0]):
            image = random_resized_crop(image, size, scale, ratio, interpolation, rng)
        if self.flip and rng.random() < self.flip:
            from PIL import Image

            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        affine = (self.degrees, self.translate, self.scale, self.shear)
        if any(affine):
            degrees, translate, grow, shear = (value * strength for value in affine)
            image = random_affine(image, degrees, translate, grow, shear, rng)
        return auto_augment(image, rng, strength) if self.auto_augment else image


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(name: str, pair: Any, most: float) -> tuple[float, float]:
    valid = isinstance(pair, list | tuple) and len(pair) == 2 and all(map(_is_number, pair))
    if not valid or not 0 < pair[0] <= pair[1] <= most:
        raise ValueError(f"{name} is {pair!r}; expected (low, high), 0 < low <= high <= {most:g}")
    return float(pair[0]), float(pair[1])

"""AutoAugment's ImageNet policy: 25 sub-policies of two operations each."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from mobileone.data.augmentation.operations import SIGNED, apply, magnitude

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image as PillowImage

__all__ = ["IMAGENET_POLICY", "Operation", "auto_augment"]


class Operation(NamedTuple):
    """One half of a sub-policy: what, how often (0 to 1) and how much (level 0 to 9)."""

    name: str
    probability: float
    level: int = 0


def _policy(*rows: str) -> tuple[tuple[Operation, Operation], ...]:
    """From rows of two triples: the name, tenths of a probability, the level (- for none)."""
    pairs = []
    for row in rows:
        words = row.split()
        first, second = (
            Operation(name, int(tenths) / 10, 0 if level == "-" else int(level))
            for name, tenths, level in (words[:3], words[3:])
        )
        pairs.append((first, second))
    return tuple(pairs)


# Cubuk et al., "AutoAugment", CVPR 2019, Table 9 (ImageNet).
IMAGENET_POLICY = _policy(
    "Posterize 4 8      Rotate 6 9",
    "Solarize 6 5       AutoContrast 6 -",
    "Equalize 8 -       Equalize 6 -",
    "Posterize 6 7      Posterize 6 6",
    "Equalize 4 -       Solarize 2 4",
    "Equalize 4 -       Rotate 8 8",
    "Solarize 6 3       Equalize 6 -",
    "Posterize 8 5      Equalize 10 -",
    "Rotate 2 3         Solarize 6 8",
    "Equalize 6 -       Posterize 4 6",
    "Rotate 8 8         Color 4 0",
    "Rotate 4 9         Equalize 6 -",
    "Equalize 0 -       Equalize 8 -",
    "Invert 6 -         Equalize 10 -",
    "Color 6 4          Contrast 10 8",
    "Rotate 8 8         Color 10 2",
    "Color 8 8          Solarize 8 7",
    "Sharpness 4 7      Invert 6 -",
    "ShearX 6 5         Equalize 10 -",
    "Color 4 0          Equalize 6 -",
    "Equalize 4 -       Solarize 2 4",
    "Solarize 6 5       AutoContrast 6 -",
    "Invert 6 -         Equalize 10 -",
    "Color 6 4          Contrast 10 8",
    "Equalize 8 -       Equalize 6 -",
)


def auto_augment(
    image: PillowImage.Image, rng: np.random.Generator, strength: float = 1.0
) -> PillowImage.Image:
    """The image after a random sub-policy.

    Args:
        image: of mode RGB or L.
        rng: what is random.
        strength: 0 to 1, which multiplies the levels; of the progressive curriculum 0.3, 0.6, 1.
            Equalize, AutoContrast and Invert have no level, and stay.
    """
    chosen = IMAGENET_POLICY[int(rng.random() * len(IMAGENET_POLICY))]
    for operation in chosen:
        happens, sign = rng.random() < operation.probability, rng.random() < 0.5
        if happens:
            amount = magnitude(operation.name, operation.level * strength, image.size)
            if sign and operation.name in SIGNED:
                amount = -amount
            image = apply(image, operation.name, amount)
    return image

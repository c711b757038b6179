"""AutoAugment's operations on Pillow images, and their magnitudes.

Cubuk et al., "AutoAugment: Learning Augmentation Policies from Data", CVPR 2019, Table 6.
Magnitudes and signs are those that torchvision documents: ten levels, 0 to 9, evenly spaced from no
change to the strongest one. A level need not be whole: the progressive curriculum scales it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from mobileone.data.preprocessing import pillow

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["HIGHEST_LEVEL", "OPERATIONS", "SIGNED", "apply", "magnitude"]

HIGHEST_LEVEL = 9

# What the highest level means, as a share of the image where the operation moves pixels.
_HIGHEST = {
    "ShearX": 0.3,
    "ShearY": 0.3,
    "TranslateX": 150.0 / 331.0,
    "TranslateY": 150.0 / 331.0,
    "Rotate": 30.0,
    "Brightness": 0.9,
    "Color": 0.9,
    "Contrast": 0.9,
    "Sharpness": 0.9,
}
SIGNED = frozenset(_HIGHEST)
_PLAIN = ("AutoContrast", "Equalize", "Invert")
OPERATIONS = (*_HIGHEST, "Posterize", "Solarize", *_PLAIN)


def magnitude(name: str, level: float, size: tuple[int, int]) -> float:
    """What a level means.

    Args:
        name: of the operation.
        level: 0 to 9.
        size: (width, height) of the image.

    Returns:
        ShearX, ShearY: the tangent of the angle. TranslateX, TranslateY: pixels. Rotate: degrees.
        Brightness, Color, Contrast, Sharpness: the factor's distance from 1. Posterize: bits kept,
        8 to 4. Solarize: the threshold, 255 to 0. Others have none: 0.

    Raises:
        ValueError: no such operation, or a level outside of 0 to 9.
    """
    if name not in OPERATIONS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(OPERATIONS)}")
    if not 0 <= level <= HIGHEST_LEVEL:
        raise ValueError(f"level is {level!r}; expected 0 to {HIGHEST_LEVEL}")
    share = level / HIGHEST_LEVEL
    if name == "Posterize":
        return float(8 - round(4 * share))
    if name == "Solarize":
        return 255.0 * (1.0 - share)
    extent = {"TranslateX": size[0], "TranslateY": size[1]}.get(name, 1)
    return _HIGHEST.get(name, 0.0) * share * extent


def apply(image: PillowImage.Image, name: str, amount: float) -> PillowImage.Image:
    """The image after one operation.

    Args:
        image: of mode RGB or L; what leaves the frame is lost, what comes in is black.
        name: of the operation.
        amount: as `magnitude` gives it, with either sign where the operation is in `SIGNED`.
    """
    changed: PillowImage.Image = _APPLY[name](image, amount)
    return changed


def _affine(image: PillowImage.Image, *coefficients: float) -> PillowImage.Image:
    """Output pixel (x, y) is input pixel (a x + b y + c, d x + e y + f)."""
    from PIL import Image

    where = Image.Transform.AFFINE
    return image.transform(image.size, where, coefficients, Image.Resampling.NEAREST)


def _rotate(image: PillowImage.Image, degrees: float) -> PillowImage.Image:
    from PIL import Image

    return image.rotate(degrees, Image.Resampling.NEAREST)


def _enhance(kind: str) -> Callable[[Any, float], Any]:
    def enhanced(image: Any, amount: float) -> Any:
        from PIL import ImageEnhance

        return getattr(ImageEnhance, kind)(image).enhance(1.0 + amount)

    return enhanced


def _pixelwise(kind: str, *, takes: Callable[[float], Any] | None = None) -> Callable[..., Any]:
    def changed(image: Any, amount: float) -> Any:
        pillow(kind)
        from PIL import ImageOps

        operation = getattr(ImageOps, kind)
        return operation(image) if takes is None else operation(image, takes(amount))

    return changed


_APPLY: dict[str, Callable[[Any, float], Any]] = {
    "ShearX": lambda image, amount: _affine(image, 1, amount, 0, 0, 1, 0),
    "ShearY": lambda image, amount: _affine(image, 1, 0, 0, amount, 1, 0),
    # Whole pixels, to the right and down, as torchvision's.
    "TranslateX": lambda image, amount: _affine(image, 1, 0, -int(amount), 0, 1, 0),
    "TranslateY": lambda image, amount: _affine(image, 1, 0, 0, 0, 1, -int(amount)),
    "Rotate": _rotate,
    "Brightness": _enhance("Brightness"),
    "Color": _enhance("Color"),
    "Contrast": _enhance("Contrast"),
    "Sharpness": _enhance("Sharpness"),
    "Posterize": _pixelwise("posterize", takes=int),
    "Solarize": _pixelwise("solarize", takes=float),
    "AutoContrast": _pixelwise("autocontrast"),
    "Equalize": _pixelwise("equalize"),
    "Invert": _pixelwise("invert"),
}

"""Random crops, affine maps, and the pipeline."""

from __future__ import annotations

import math

import numpy as np
import pytest
from mobileone.data.augmentation.geometry import crop_box, random_affine, random_resized_crop
from mobileone.data.augmentation.pipeline import Augmentation
from PIL import Image

SCALE, RATIO = (0.08, 1.0), (3 / 4, 4 / 3)


class Fixed:
    """Random numbers that are given."""

    def __init__(self, *numbers: float) -> None:
        self._numbers = list(numbers)

    def random(self) -> float:
        return self._numbers.pop(0)


def gradient(height: int = 20, width: int = 30) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 8, y * 8, x + y], 2).astype(np.uint8))


def test_boxes_are_inside_and_of_the_asked_shares_and_ratios() -> None:
    rng = np.random.default_rng(0)
    width, height = 400, 300
    shares, ratios = [], []
    for _ in range(3000):
        left, top, w, h = crop_box((width, height), SCALE, RATIO, rng)
        assert left >= 0
        assert top >= 0
        assert left + w <= width
        assert top + h <= height
        shares.append(w * h / (width * height))
        ratios.append(w / h)
    # Sides are rounded to whole pixels, of 84 at least.
    assert min(shares) >= 0.08 * (1 - 0.5 / 84) ** 2
    assert max(ratios) <= 4 / 3 * (1 + 1 / 84)
    assert min(ratios) >= 3 / 4 * (1 - 1 / 84)
    # Uniform in the logarithm: as many upright as lying ones among small boxes, which all fit.
    small = np.array([r for s, r in zip(shares, ratios, strict=True) if s < 0.5])
    assert abs((small > 1).mean() - 0.5) <= 5 * 0.5 / math.sqrt(len(small))


@pytest.mark.parametrize("size", [(1000, 10), (10, 1000)])
def test_of_images_too_long_for_any_box_the_centre_is_taken(size: tuple[int, int]) -> None:
    left, top, w, h = crop_box(size, (0.9, 1.0), RATIO, np.random.default_rng(0))
    assert min(w, h) == 10
    assert max(w, h) in (13, 14)
    assert abs(2 * left + w - size[0]) <= 1
    assert abs(2 * top + h - size[1]) <= 1


def test_a_crop_is_that_box_resized() -> None:
    image = gradient()
    numbers = (0.4, 0.7, 0.5, 0.25)
    left, top, w, h = crop_box(image.size, SCALE, RATIO, Fixed(*numbers))  # type: ignore[arg-type]
    found = random_resized_crop(image, (8, 9), SCALE, RATIO, "bilinear", Fixed(*numbers))  # type: ignore[arg-type]
    expected = image.crop((left, top, left + w, top + h)).resize((9, 8), Image.Resampling.BILINEAR)
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


def test_an_affine_map_of_nothing_is_the_image() -> None:
    image = gradient()
    same = random_affine(image, 0, 0, 0, 0, np.random.default_rng(0))
    np.testing.assert_array_equal(np.asarray(same), np.asarray(image))


def test_an_affine_map_moves_points_as_it_says() -> None:
    """The centre of mass of a blob moves by the map; about the centre, scaled, then moved."""
    y, x = np.mgrid[:65, :65]
    blob = np.exp(-((x - 44) ** 2 + (y - 26) ** 2) / 18)
    image = Image.fromarray((255 * blob).astype(np.uint8))
    # Rotation, moves, scales, shear: at the end of their ranges, on one side or none.
    numbers = (1.0, 0.75, 0.5, 1.0, 0.5, 0.5)
    found = np.asarray(random_affine(image, 30, 0.2, 0.5, 10, Fixed(*numbers))).astype(float)  # type: ignore[arg-type]
    mass = found / found.sum()
    at = np.array([(mass * x).sum(), (mass * y).sum()])
    # Inverse: the move undone, rotated by 30 degrees, x scaled down by 1.5.
    offset = at - 32 - np.array([0.1 * 65, 0.0])
    cos, sin = math.cos(math.radians(30)), math.sin(math.radians(30))
    source = np.array(
        [(cos * offset[0] - sin * offset[1]) / 1.5, sin * offset[0] + cos * offset[1]]
    )
    # 8-bit pixels of a blob of 113 pixels' mass: well below a pixel.
    np.testing.assert_allclose(source, [12, -6], atol=0.2)


def test_the_pipeline_is_what_its_parts_do() -> None:
    image = gradient()
    mirrored = Augmentation(crop_scale=None, flip=1.0)(image, (20, 30), np.random.default_rng(0))
    np.testing.assert_array_equal(np.asarray(mirrored), np.asarray(image)[:, ::-1])
    plain = Augmentation(crop_scale=None, flip=0.0)
    assert plain(image, (20, 30), np.random.default_rng(0)).tobytes() == image.tobytes()
    assert plain(image, (10, 15), np.random.default_rng(0)).size == (15, 10)
    full = Augmentation(auto_augment=True, degrees=5, translate=0.1, scale=0.1, shear=5)
    results = {full(image, (16, 16), np.random.default_rng(i)).tobytes() for i in range(20)}
    assert len(results) == 20
    again = {full(image, (16, 16), np.random.default_rng(i)).tobytes() for i in range(20)}
    assert again == results


def test_strength_zero_leaves_the_affine_map_out() -> None:
    image = gradient()
    turned = Augmentation(crop_scale=None, flip=0.0, degrees=90)
    rng = np.random.default_rng(3)
    assert turned(image, (20, 30), rng, strength=0.0).tobytes() == image.tobytes()
    assert turned(image, (20, 30), rng, strength=1.0).tobytes() != image.tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("crop_scale", (0.0, 1.0)), ("crop_scale", (0.5, 1.5)), ("crop_scale", 0.5),
        ("crop_ratio", (2.0, 1.0)), ("flip", 1.5), ("degrees", -1), ("degrees", "ten"),
        ("scale", 1.0), ("shear", float("nan")),
    ],
)  # fmt: skip
def test_values_out_of_range_are_named(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"^{field} is "):
        Augmentation(**{field: value})  # type: ignore[arg-type]

"""AutoAugment's operations by value, and the policy, against what torchvision documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mobileone.data.augmentation import autoaugment
from mobileone.data.augmentation.autoaugment import IMAGENET_POLICY, auto_augment
from mobileone.data.augmentation.operations import OPERATIONS, SIGNED, apply, magnitude
from PIL import Image

WIDTH, HEIGHT = 331, 662
# torchvision.transforms.AutoAugment's ten magnitudes of each operation, and whether it is signed.
DOCUMENTED: dict[str, tuple[Any, bool]] = {
    "ShearX": (np.linspace(0, 0.3, 10), True),
    "ShearY": (np.linspace(0, 0.3, 10), True),
    "TranslateX": (np.linspace(0, 150, 10), True),  # 150 / 331 of the width
    "TranslateY": (np.linspace(0, 300, 10), True),
    "Rotate": (np.linspace(0, 30, 10), True),
    "Brightness": (np.linspace(0, 0.9, 10), True),
    "Color": (np.linspace(0, 0.9, 10), True),
    "Contrast": (np.linspace(0, 0.9, 10), True),
    "Sharpness": (np.linspace(0, 0.9, 10), True),
    "Posterize": ([8, 8, 7, 7, 6, 6, 5, 5, 4, 4], False),
    "Solarize": (np.linspace(255, 0, 10), False),
    "AutoContrast": (np.zeros(10), False),
    "Equalize": (np.zeros(10), False),
    "Invert": (np.zeros(10), False),
}
# The paper's Table 9 as torchvision lists it: twice an operation, its probability, its level.
POLICY = [
    (("Posterize", 0.4, 8), ("Rotate", 0.6, 9)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
    (("Posterize", 0.6, 7), ("Posterize", 0.6, 6)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Equalize", 0.4, 0), ("Rotate", 0.8, 8)),
    (("Solarize", 0.6, 3), ("Equalize", 0.6, 0)),
    (("Posterize", 0.8, 5), ("Equalize", 1.0, 0)),
    (("Rotate", 0.2, 3), ("Solarize", 0.6, 8)),
    (("Equalize", 0.6, 0), ("Posterize", 0.4, 6)),
    (("Rotate", 0.8, 8), ("Color", 0.4, 0)),
    (("Rotate", 0.4, 9), ("Equalize", 0.6, 0)),
    (("Equalize", 0.0, 0), ("Equalize", 0.8, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Rotate", 0.8, 8), ("Color", 1.0, 2)),
    (("Color", 0.8, 8), ("Solarize", 0.8, 7)),
    (("Sharpness", 0.4, 7), ("Invert", 0.6, 0)),
    (("ShearX", 0.6, 5), ("Equalize", 1.0, 0)),
    (("Color", 0.4, 0), ("Equalize", 0.6, 0)),
    (("Equalize", 0.4, 0), ("Solarize", 0.2, 4)),
    (("Solarize", 0.6, 5), ("AutoContrast", 0.6, 0)),
    (("Invert", 0.6, 0), ("Equalize", 1.0, 0)),
    (("Color", 0.6, 4), ("Contrast", 1.0, 8)),
    (("Equalize", 0.8, 0), ("Equalize", 0.6, 0)),
]


def picture(seed: int = 0, height: int = 12, width: int = 16) -> Image.Image:
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))


def after(image: Image.Image, name: str, amount: float) -> np.ndarray:
    return np.asarray(apply(image, name, amount)).astype(int)


def test_the_table_is_whole() -> None:
    assert set(DOCUMENTED) == set(OPERATIONS)
    assert {name for name, (_, signed) in DOCUMENTED.items() if signed} == SIGNED


@pytest.mark.parametrize("name", OPERATIONS)
def test_magnitudes_are_the_documented_ones(name: str) -> None:
    found = [magnitude(name, level, (WIDTH, HEIGHT)) for level in range(10)]
    np.testing.assert_allclose(found, DOCUMENTED[name][0], rtol=1e-12, atol=1e-9)


def test_strength_scales_levels_between_whole_ones() -> None:
    assert magnitude("Rotate", 9 * 0.3, (1, 1)) == pytest.approx(9.0)
    assert magnitude("Solarize", 9 * 0.6, (1, 1)) == pytest.approx(255 * 0.4)
    assert magnitude("Posterize", 8 * 0.3, (1, 1)) == 7


@pytest.mark.parametrize(("name", "level"), [("Blur", 1), ("Rotate", 10), ("Rotate", -1)])
def test_unknown_names_and_levels_are_refused(name: str, level: float) -> None:
    with pytest.raises(ValueError, match=r"name is 'Blur'|level is"):
        magnitude(name, level, (8, 8))


def test_the_policy_is_the_documented_one() -> None:
    assert [tuple(map(tuple, pair)) for pair in IMAGENET_POLICY] == POLICY


@pytest.mark.parametrize("pixels", [3, -5])
def test_translations_move_by_whole_pixels_right_and_down(pixels: int) -> None:
    image = picture()
    before = np.asarray(image).astype(int)
    for axis, name in ((1, "TranslateX"), (0, "TranslateY")):
        expected = np.zeros_like(before)
        for target in range(before.shape[axis]):
            if 0 <= target - pixels < before.shape[axis]:
                place = [slice(None)] * 3
                source = list(place)
                place[axis], source[axis] = target, target - pixels  # type: ignore[call-overload]
                expected[tuple(place)] = before[tuple(source)]
        fraction = 0.4 if pixels > 0 else -0.4
        np.testing.assert_array_equal(after(image, name, pixels + fraction), expected)


@pytest.mark.parametrize("amount", [0.3, -0.2])
def test_shears_move_rows_and_columns_by_their_distance_from_the_corner(amount: float) -> None:
    image = picture()
    before = np.asarray(image).astype(int)
    height, width, _ = before.shape
    for name in ("ShearX", "ShearY"):
        expected = np.zeros_like(before)
        for y in range(height):
            for x in range(width):
                sx = x + 0.5 + (amount * (y + 0.5) if name == "ShearX" else 0)
                sy = y + 0.5 + (amount * (x + 0.5) if name == "ShearY" else 0)
                if 0 <= sx < width and 0 <= sy < height:
                    expected[y, x] = before[int(sy), int(sx)]
        np.testing.assert_array_equal(after(image, name, amount), expected)


def test_rotation_is_counterclockwise_about_the_centre() -> None:
    image = picture(height=11, width=11)
    np.testing.assert_array_equal(after(image, "Rotate", 90.0), np.rot90(np.asarray(image)))


@pytest.mark.parametrize("amount", [0.9, -0.9, 0.3])
def test_enhancements_blend_with_the_degenerate_image(amount: float) -> None:
    image = picture()
    before = np.asarray(image).astype(float)
    grey = np.asarray(image.convert("L")).astype(float)
    degenerate = {
        "Brightness": np.zeros_like(before),
        "Color": np.repeat(grey[..., None], 3, 2),
        "Contrast": np.full_like(before, int(grey.mean() + 0.5)),
    }
    for name, other in degenerate.items():
        expected = np.clip(other + (1 + amount) * (before - other), 0, 255)
        # Pillow computes in single precision and drops the fraction.
        assert np.abs(after(image, name, amount) - expected).max() <= 1, name


def test_sharpness_leaves_the_border_and_blurs_the_rest() -> None:
    image = picture()
    before = np.asarray(image).astype(float)
    kernel = np.full((3, 3), 1.0)
    kernel[1, 1] = 5.0
    found = after(image, "Sharpness", -0.9)
    for y in range(1, before.shape[0] - 1):
        for x in range(1, before.shape[1] - 1):
            window = before[y - 1 : y + 2, x - 1 : x + 2]
            smooth = (window * kernel[..., None]).sum((0, 1)) / 13
            expected = smooth + 0.1 * (before[y, x] - smooth)
            assert np.abs(found[y, x] - expected).max() <= 1.5
    np.testing.assert_array_equal(found[0], before[0])


def test_operations_on_values() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = Image.fromarray(ramp)
    values = ramp.astype(int)
    np.testing.assert_array_equal(after(image, "Posterize", 4.0), values & 0xF0)
    np.testing.assert_array_equal(after(image, "Posterize", 8.0), values)
    solarized = np.where(values < 113.3, values, 255 - values)
    np.testing.assert_array_equal(after(image, "Solarize", 113.3), solarized)
    np.testing.assert_array_equal(after(image, "Solarize", 0.0), 255 - values)
    np.testing.assert_array_equal(after(image, "Invert", 0.0), 255 - values)
    half_values = values.ravel() // 4 + 50
    half = Image.fromarray(half_values.reshape(16, 16).astype(np.uint8))
    stretched = after(half, "AutoContrast", 0.0)
    # Pillow drops the fraction of a value that was computed in single steps.
    assert np.abs(stretched.ravel() - (half_values - 50) * 255 / 63).max() < 1 + 1e-9
    equalized = after(half.resize((64, 64), Image.Resampling.NEAREST), "Equalize", 0.0)
    # 64 values of 64 pixels each: a step of grey per (4096 - 64) // 255 = 15 darker pixels.
    expected = np.minimum(255, (7 + 64 * np.arange(64)) // 15)
    np.testing.assert_array_equal(np.unique(equalized), np.unique(expected))


def test_auto_augment_draws_every_sub_policy_with_its_probabilities(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[tuple[str, float]] = []

    def record(image: Image.Image, name: str, amount: float) -> Image.Image:
        drawn.append((name, amount))
        return image

    monkeypatch.setattr(autoaugment, "apply", record)
    rng, image, draws = np.random.default_rng(0), picture(), 5000
    for _ in range(draws):
        auto_augment(image, rng, 0.6)
    expected = dict.fromkeys(OPERATIONS, 0.0)
    for pair in IMAGENET_POLICY:
        for operation in pair:
            expected[operation.name] += operation.probability / 25
    for name, mean in expected.items():
        count = sum(one == name for one, _ in drawn)
        # A sub-policy has an operation twice at most: five standard deviations of the mean.
        assert abs(count / draws - mean) <= 5 * np.sqrt(max(2 * mean, 1e-9) / draws), name
    rotations = {round(amount, 6) for name, amount in drawn if name == "Rotate"}
    levels = {3, 8, 9}
    assert rotations == {round(s * 30 * k * 0.6 / 9, 6) for k in levels for s in (1, -1)}


def test_auto_augment_changes_images_and_keeps_their_size() -> None:
    rng, image = np.random.default_rng(1), picture(height=40, width=30)
    results = [auto_augment(image, rng) for _ in range(60)]
    assert {r.size for r in results} == {(30, 40)}
    assert len({r.tobytes() for r in results}) > 20

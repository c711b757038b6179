"""ImageNet-C's corruptions, against SciPy, Pillow, colorsys, and their own definitions."""

from __future__ import annotations

import colorsys
import io

import numpy as np
import pytest
from mobileone.data.corruption import filters
from mobileone.data.corruption.corrupt import CORRUPTIONS, corrupt
from mobileone.data.photo import load_photo
from PIL import Image

PHOTO = load_photo(None, 256).pixels[:224, 16:240]
SMALL = PHOTO[60:124, 80:144]
RNG = np.random.default_rng(0)
NOISES = ("gaussian_noise", "shot_noise", "impulse_noise")
CERTAIN = ("defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression")


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_seed_says_everything(name: str) -> None:
    first, again, other = (corrupt(SMALL, name, 3, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first == other).all() == (name in CERTAIN)
    assert first.shape == SMALL.shape
    assert not np.array_equal(first, SMALL)


# Elastic bends of severity 1 and 2 are wide and smooth, the later ones fine: no order.
@pytest.mark.parametrize("name", [name for name in CORRUPTIONS if name != "elastic_transform"])
def test_severities_grow(name: str) -> None:
    distances = []
    for severity in (1, 3, 5):
        seeds = range(1 if name in ("glass_blur", *CERTAIN) else 4)
        found = [corrupt(PHOTO, name, severity, seed).astype(float) for seed in seeds]
        if name in ("fog", "frost"):  # which hide the picture: what is left of it
            left = [np.corrcoef(one.ravel(), PHOTO.ravel())[0, 1] for one in found]
            distances.append(1 - np.mean(left))
        else:
            distances.append(np.sqrt(np.mean([np.square(one - PHOTO) for one in found])))
    assert distances == sorted(distances)


def test_noise_has_the_published_size() -> None:
    grey = np.full((224, 224, 3), 128, np.uint8)
    count = grey.size
    level = np.floor(128.0)
    gauss = corrupt(grey, "gaussian_noise", 1, 0).astype(float)
    # Truncation to whole numbers adds a variance of 1/12; the estimate's deviation is 0.2 %.
    assert gauss.std() == pytest.approx(np.sqrt((0.08 * 255) ** 2 + 1 / 12), rel=0.01)
    shot = corrupt(grey, "shot_noise", 1, 0).astype(float)
    assert shot.std() == pytest.approx(255 * np.sqrt(128 / 255 / 60), rel=0.01)
    hit = corrupt(grey, "impulse_noise", 5, 0)
    for value in (0, 255):
        share = (hit == value).mean()
        assert share == pytest.approx(0.27 / 2, abs=5 * np.sqrt(0.135 * 0.865 / count))
    assert ((hit == 0) | (hit == 255) | (hit == level)).all()


def test_filters_are_those_of_scipy() -> None:
    ndimage = pytest.importorskip("scipy.ndimage")
    x = RNG.random((40, 50, 3))
    for sigma in (0.5, 1.5, 4):
        expected = ndimage.gaussian_filter(x, (sigma, sigma, 0), mode="reflect", truncate=4)
        np.testing.assert_allclose(filters.blurred(x, sigma), expected, atol=1e-12)
    kernel = RNG.random((7, 7))
    expected = np.stack(
        [ndimage.correlate(x[..., c], kernel, mode="mirror") for c in range(3)], axis=2
    )
    np.testing.assert_allclose(filters.filtered(x, kernel), expected, atol=1e-12)
    at = RNG.uniform(-30, 80, (20, 30, 2))
    at[..., 1] = RNG.uniform(-30, 70, (20, 30))
    expected = np.stack(
        [
            ndimage.map_coordinates(x[..., c], [at[..., 1], at[..., 0]], order=1, mode="reflect")
            for c in range(3)
        ],
        axis=2,
    )
    # Between the last pixel's centre and the border SciPy and we both see that pixel.
    np.testing.assert_allclose(filters.sampled(x, at), expected, atol=1e-9)


def test_plasma_is_fractal_noise_from_0_to_1() -> None:
    rough, smooth = (filters.plasma(64, decay, np.random.default_rng(0)) for decay in (1.4, 2.5))
    for cloud in (rough, smooth):
        assert (cloud.min(), cloud.max()) == (0, 1)
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


def test_a_smear_moves_along_its_direction() -> None:
    point = np.zeros((41, 41, 1))
    point[20, 20] = 1
    for angle, axis in ((0, 0), (90, 1)):
        rows, columns, _ = np.nonzero(filters.smeared(point, 5, 3, angle))
        moved, still = ((rows, columns), (columns, rows))[axis]
        assert set(still) == {20}
        assert len(set(moved)) == 11
    assert filters.smeared(point, 5, 3, 30).sum() == pytest.approx(1)


def test_colours_and_contrast_by_definition() -> None:
    bright = corrupt(SMALL, "brightness", 2, 0)
    for row, column in ((3, 5), (30, 40), (60, 1)):
        h, s, v = colorsys.rgb_to_hsv(*(SMALL[row, column] / 255))
        expected = np.array(colorsys.hsv_to_rgb(h, s, min(1, v + 0.2))) * 255
        assert np.abs(bright[row, column] - expected).max() <= 1
    x = SMALL / 255
    mean = x.mean((0, 1))
    expected = (np.clip((x - mean) * 0.3 + mean, 0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(corrupt(SMALL, "contrast", 2, 0), expected)


def test_pixels_and_files_are_pillows() -> None:
    image = Image.fromarray(PHOTO)
    small = image.resize((112, 112), Image.Resampling.BOX)  # 224 * 0.5
    expected = np.asarray(small.resize((224, 224), Image.Resampling.BOX))
    found = corrupt(PHOTO, "pixelate", 2, 0)
    assert np.abs(found.astype(int) - expected).max() <= 1  # of truncation
    file = io.BytesIO()
    image.save(file, "JPEG", quality=10)
    found = corrupt(PHOTO, "jpeg_compression", 4, 0)
    assert np.abs(found.astype(int) - np.asarray(Image.open(file))).max() <= 1


@pytest.mark.parametrize(
    ("name", "severity", "pixels", "message"),
    [
        ("rain", 1, SMALL, "name is 'rain'; expected one of gaussian_noise"),
        ("fog", 6, SMALL, "severity is 6"),
        ("fog", 1, SMALL[..., 0], r"pixels has shape \(64, 64\)"),
    ],
)
def test_bad_arguments(name: str, severity: int, pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        corrupt(pixels, name, severity, 0)

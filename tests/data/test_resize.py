"""The engine's resize against Pillow's own passes, bit by bit."""

from __future__ import annotations

import numpy as np
import PIL
import pytest
from mobileone._core import resize_pixels
from mobileone.data.config import DataConfig
from mobileone.data.pixels import normalise
from mobileone.data.whole import resized_input
from numpy.typing import NDArray
from PIL import Image

SIZES = [(480, 640), (1, 1), (7, 5), (33, 47), (100, 3), (2, 200), (251, 333)]


def with_pillow(pixels: NDArray[np.uint8], height: int, width: int, method: str) -> NDArray:
    """A side at a time: which one comes first differs between versions."""
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    how = Image.Resampling[method.upper()]
    lost = image.height - height
    columns_first = lost > 0 and lost > 2 * (image.width - width)
    between = (image.width, height) if columns_first else (width, image.height)
    image = image.resize(between, how).resize((width, height), how)
    return np.asarray(image).reshape(height, width, -1)


@pytest.mark.skipif(int(PIL.__version__.split(".")[0]) != 13, reason="another version of Pillow")
def test_the_side_that_comes_first_is_pillows() -> None:
    random = np.random.default_rng(2)
    for _ in range(300):
        height, width, to_height, to_width = (int(side) for side in random.integers(1, 90, 4))
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        expected = Image.fromarray(pixels).resize((to_width, to_height), Image.Resampling.BICUBIC)
        found = resize_pixels(pixels, to_height, to_width, "bicubic")
        np.testing.assert_array_equal(found, np.asarray(expected))


@pytest.mark.parametrize("method", ["bilinear", "bicubic"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_pillows(method: str, channels: int) -> None:
    random = np.random.default_rng(channels)
    for size in SIZES:
        for target in [(320, 320), (1, 1), (7, 5), (64, 100), (512, 33)]:
            for pixels in (
                random.integers(0, 256, (*size, channels), np.uint8),
                255 * random.integers(0, 2, (*size, channels), np.uint8),  # overshoots are cut
            ):
                found = resize_pixels(pixels, *target, method)
                np.testing.assert_array_equal(found, with_pillow(pixels, *target, method))


def test_random_sizes_are_pillows() -> None:
    random = np.random.default_rng(0)
    for _ in range(150):
        height, width, to_height, to_width = (int(side) for side in random.integers(1, 200, 4))
        pixels = random.integers(0, 256, (height, width, 3), np.uint8)
        for method in ("bilinear", "bicubic"):
            found = resize_pixels(pixels, to_height, to_width, method)
            expected = with_pillow(pixels, to_height, to_width, method)
            np.testing.assert_array_equal(found, expected, f"{height, width, to_height, to_width}")


def test_network_input_is_the_resized_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (50, 70, 3), np.uint8)
    config = DataConfig(mean=(0.5,) * 3, std=(0.25,) * 3, interpolation="bicubic")
    expected = with_pillow(pixels, 32, 64, "bicubic").transpose(2, 0, 1)[None]
    found = resized_input(pixels[:, ::-1], (32, 64), config)  # strides of any sign
    mirrored = with_pillow(np.ascontiguousarray(pixels[:, ::-1]), 32, 64, "bicubic")
    np.testing.assert_array_equal(found, normalise(mirrored.transpose(2, 0, 1)[None], config))
    np.testing.assert_array_equal(
        resized_input(pixels, (32, 64), config), normalise(expected, config)
    )


def test_bad_arguments_are_named() -> None:
    pixels = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(ValueError, match=r"interpolation is \"nearest\"; expected"):
        resize_pixels(pixels, 2, 2, "nearest")
    with pytest.raises(ValueError, match="size is 0 x 2"):
        resize_pixels(pixels, 0, 2, "bilinear")
    with pytest.raises(ValueError, match=r"2 dimensions; expected \[H, W, C\]"):
        resize_pixels(pixels[0], 2, 2, "bilinear")
    with pytest.raises(ValueError, match="1 to 4 channels"):
        resize_pixels(np.zeros((4, 4, 5), np.uint8), 2, 2, "bilinear")
    with pytest.raises(TypeError):
        resize_pixels(pixels.astype(np.float32), 2, 2, "bilinear")

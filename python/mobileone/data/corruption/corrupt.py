"""The 15 corruptions of ImageNet-C, made of any picture, from a seed.

After the definitions published with Hendrycks and Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations" (2019), at the same five severities.
Where those draw from a library's own random numbers, or blend in photographs (frost), results are
alike, not equal: compare them with each other, not with errors on the published pictures.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.data.corruption.filters import (
    Image,
    Rng,
    blurred,
    filtered,
    plasma,
    sampled,
    smeared,
    zoomed,
)
from mobileone.data.preprocessing import pillow

__all__ = ["CORRUPTIONS", "corrupt"]


def corrupt(
    pixels: npt.NDArray[np.uint8], name: str, severity: int, seed: int
) -> npt.NDArray[np.uint8]:
    """A corrupted copy of RGB pixels [H, W, 3].

    Args:
        pixels: of about 224 x 224, for which the severities were chosen.
        name: one of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: of whatever is random; the same on every machine.

    Raises:
        ValueError: another name, severity or shape.
    """
    if name not in CORRUPTIONS:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(CORRUPTIONS)}")
    if severity not in (1, 2, 3, 4, 5):
        raise ValueError(f"severity is {severity!r}; expected 1 to 5")
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels has shape {pixels.shape}; expected (height, width, 3)")
    function, values = CORRUPTIONS[name]
    entropy = (seed, list(CORRUPTIONS).index(name), severity)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))
    found = function(pixels / 255.0, values[severity - 1], rng)
    return np.asarray(np.clip(found, 0, 1) * 255, np.uint8)  # truncated, as published


def _gaussian_noise(x: Image, deviation: float, rng: Rng) -> Image:
    return x + rng.normal(0, deviation, x.shape)


def _shot_noise(x: Image, photons: float, rng: Rng) -> Image:
    return rng.poisson(x * photons) / photons


def _impulse_noise(x: Image, share: float, rng: Rng) -> Image:
    hit = rng.random(x.shape) < share
    return np.where(hit, (rng.random(x.shape) < 0.5).astype(float), x)


def _defocus_blur(x: Image, values: tuple[int, float], rng: Rng) -> Image:
    radius, alias = values
    extent = max(8, radius)
    across = np.arange(-extent, extent + 1)
    disk = (across[:, None] ** 2 + across[None] ** 2 <= radius**2).astype(float)
    disk = blurred(disk[..., None] / disk.sum(), alias, 1 if radius <= 8 else 2)[..., 0]
    return filtered(x, disk)


def _glass_blur(x: Image, values: tuple[float, int, int], rng: Rng) -> Image:
    """Pixels change places with near ones, one after the other."""
    sigma, reach, rounds = values
    height, width = x.shape[:2]
    at = np.arange(height * width).reshape(height, width)
    for _ in range(rounds):
        moves = rng.integers(-reach, reach, (height, width, 2))
        for row in range(height - reach - 1, reach - 1, -1):
            for column in range(width - reach - 1, reach - 1, -1):
                dy, dx = moves[row, column]
                there = at[row + dy, column + dx]
                at[row + dy, column + dx] = at[row, column]
                at[row, column] = there
    first = np.floor(blurred(x, sigma) * 255) / 255
    return blurred(first.reshape(-1, 3)[at], sigma)


def _motion_blur(x: Image, values: tuple[int, float], rng: Rng) -> Image:
    return smeared(x, *values, rng.uniform(-45, 45))


def _zoom_blur(x: Image, factors: npt.NDArray[np.float64], rng: Rng) -> Image:
    total = x.copy()
    for factor in factors:
        total += zoomed(x, factor)
    return np.asarray(total / (len(factors) + 1))


def _snow(x: Image, values: tuple[float, ...], rng: Rng) -> Image:
    mean, deviation, zoom, least, radius, sigma, keep = values
    layer = zoomed(rng.normal(mean, deviation, x.shape[:2])[..., None], zoom)
    layer[layer < least] = 0
    layer = smeared(np.clip(layer, 0, 1), int(radius), sigma, rng.uniform(-135, -45))
    white = np.maximum(x, _grey(x) * 1.5 + 0.5)
    return keep * x + (1 - keep) * white + layer + layer[::-1, ::-1]


def _frost(x: Image, values: tuple[float, float], rng: Rng) -> Image:
    """Published with photographs of frost; here smeared crystals on fractal noise."""
    keep, ice = values
    size = 1 << math.ceil(math.log2(max(x.shape[:2])))
    cloud = plasma(size, 1.5, rng)[: x.shape[0], : x.shape[1], None]
    needles = np.zeros_like(cloud)
    for angle in rng.uniform(-180, 180, 6):
        sparse = (rng.random(cloud.shape) > 0.985).astype(float)
        needles = np.maximum(needles, smeared(sparse, 24, 9, angle) * 9)
    texture = np.clip(0.6 * cloud + 0.5 * needles * (0.4 + cloud), 0, 1)
    return np.asarray(keep * x + ice * texture * np.array([0.92, 0.97, 1.0]))


def _fog(x: Image, values: tuple[float, float], rng: Rng) -> Image:
    amount, decay = values
    size = max(256, 1 << math.ceil(math.log2(max(x.shape[:2]))))
    fog = plasma(size, decay, rng)[: x.shape[0], : x.shape[1], None]
    most = x.max()
    found: Image = np.clip((x + amount * fog) * most / (most + amount), 0, 1)
    return found


def _brightness(x: Image, amount: float, rng: Rng) -> Image:
    """Of HSV, the value: the largest of the three, which they keep their ratios to."""
    value = x.max(2, keepdims=True)
    lifted = np.clip(value + amount, 0, 1)
    scale = np.divide(lifted, value, out=np.ones_like(value), where=value > 0)
    return np.asarray(np.where(value > 0, x * scale, lifted))


def _contrast(x: Image, share: float, rng: Rng) -> Image:
    mean = x.mean((0, 1), keepdims=True)
    return np.asarray((x - mean) * share + mean)


def _elastic(x: Image, values: tuple[float, float, float], rng: Rng) -> Image:
    strength, sigma, affine = (244 * value for value in values)
    height, width = x.shape[:2]
    centre, side = np.array([width, height]) // 2, min(height, width) // 3
    corners = centre + side * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = corners + rng.uniform(-affine, affine, corners.shape)
    # The inverse map: from pixels of the result to those of the picture.
    back = np.linalg.solve(np.c_[moved, np.ones(3)], corners)
    grid = np.stack(np.meshgrid(np.arange(width), np.arange(height)), 2).astype(float)
    shift = rng.uniform(-1, 1, (height, width, 2))
    shift = blurred(shift, sigma, max(1, int(3 * sigma + 0.5))) * strength
    bent = sampled(x, grid @ back[:2] + back[2])
    return sampled(bent, grid + shift)


def _pixelate(x: Image, share: float, rng: Rng) -> Image:
    module = pillow("pixelate")
    image = module.fromarray(np.asarray(np.rint(x * 255), np.uint8))
    small = image.resize([int(side * share) for side in image.size], module.Resampling.BOX)
    return np.asarray(small.resize(image.size, module.Resampling.BOX)) / 255.0


def _jpeg(x: Image, quality: int, rng: Rng) -> Image:
    module = pillow("jpeg_compression")
    file = io.BytesIO()
    module.fromarray(np.asarray(np.rint(x * 255), np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(module.open(file)) / 255.0


def _grey(x: Image) -> Image:
    """BT.601's luma."""
    return np.asarray((x @ np.array([0.299, 0.587, 0.114]))[..., None])


Function = Callable[[Image, Any, Rng], Image]
# The function and what it takes at severities 1 to 5.
CORRUPTIONS: dict[str, tuple[Function, tuple[Any, ...]]] = {
    "gaussian_noise": (_gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38)),
    "shot_noise": (_shot_noise, (60, 25, 12, 5, 3)),
    "impulse_noise": (_impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27)),
    "defocus_blur": (_defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5))),
    "glass_blur": (
        _glass_blur,
        ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    ),
    "motion_blur": (_motion_blur, ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15))),
    "zoom_blur": (
        _zoom_blur,
        tuple(
            np.arange(1, most, step)
            for most, step in ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03))
        ),
    ),
    "snow": (
        _snow,
        (
            (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
            (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
            (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
        ),
    ),
    "frost": (_frost, ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75))),
    "fog": (_fog, ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4))),
    "brightness": (_brightness, (0.1, 0.2, 0.3, 0.4, 0.5)),
    "contrast": (_contrast, (0.4, 0.3, 0.2, 0.1, 0.05)),
    "elastic_transform": (
        _elastic,
        ((2, 0.7, 0.1), (2, 0.08, 0.2), (0.05, 0.01, 0.02), (0.07, 0.01, 0.02), (0.12, 0.01, 0.02)),
    ),
    "pixelate": (_pixelate, (0.6, 0.5, 0.4, 0.3, 0.25)),
    "jpeg_compression": (_jpeg, (25, 18, 15, 10, 7)),
}

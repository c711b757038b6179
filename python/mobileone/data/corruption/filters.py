"""Blurs, shifts, samples and noise of pictures [H, W, C] in float64, in NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Image", "Rng", "blurred", "filtered", "plasma", "sampled", "smeared", "zoomed"]

Image = npt.NDArray[np.float64]
Rng = np.random.Generator


def _reflected(x: Image, reach: int, mode: Any = "symmetric") -> Image:
    return np.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode)


def blurred(x: Image, sigma: float, reach: int | None = None) -> Image:
    """A Gaussian of at most `reach` pixels to each side; default: four sigma."""
    reach = int(4 * sigma + 0.5) if reach is None else reach
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    weights /= weights.sum()
    height, width = x.shape[:2]
    padded = _reflected(x, reach)
    rows = sum(w * padded[i : i + height] for i, w in enumerate(weights))
    return np.asarray(sum(w * rows[:, i : i + width] for i, w in enumerate(weights)))


def filtered(x: Image, kernel: npt.NDArray[np.float64]) -> Image:
    """The correlation with a square kernel of odd size, mirrored at the border's pixels."""
    reach = len(kernel) // 2
    height, width = x.shape[:2]
    padded = _reflected(x, reach, "reflect")
    found = np.zeros_like(x)
    for i, j in np.argwhere(kernel > 0):
        found += kernel[i, j] * padded[i : i + height, j : j + width]
    return found


def smeared(x: Image, radius: int, sigma: float, angle: float) -> Image:
    """Motion blur as ImageMagick's: half a Gaussian in one direction, pixel by pixel."""
    count = 2 * radius + 1
    weights = np.exp(-0.5 * (np.arange(count) / sigma) ** 2)
    weights /= weights.sum()
    height, width = x.shape[:2]
    padded = np.pad(x, ((count, count), (count, count), (0, 0)), "edge")
    found = np.zeros_like(x)
    for i, weight in enumerate(weights):
        dy = count + math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        dx = count + math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        found += weight * padded[dy : dy + height, dx : dx + width]
    return found


def zoomed(x: Image, factor: float) -> Image:
    """The centre, enlarged to the whole, bilinear."""
    height, width = x.shape[:2]
    rows = (np.arange(height) + 0.5 - height / 2) / factor + height / 2 - 0.5
    columns = (np.arange(width) + 0.5 - width / 2) / factor + width / 2 - 0.5
    return sampled(x, np.stack(np.meshgrid(columns, rows), 2))


def sampled(x: Image, at: npt.NDArray[np.float64]) -> Image:
    """Bilinear at points (column, row), reflected at the borders."""
    height, width = x.shape[:2]
    column, row = (_folded(at[..., i], side) for i, side in ((0, width), (1, height)))
    left, top = (np.floor(v).astype(int) for v in (column, row))
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = (column - left)[..., None], (row - top)[..., None]
    upper = x[top, left] * (1 - across) + x[top, right] * across
    lower = x[bottom, left] * (1 - across) + x[bottom, right] * across
    return np.asarray(upper * (1 - down) + lower * down)


def _folded(at: npt.NDArray[np.float64], side: int) -> npt.NDArray[np.float64]:
    """Into 0 ... side - 1, mirrored at the outer edges of the pixels."""
    around = np.mod(at + 0.5, 2 * side)
    return np.asarray(np.clip(np.minimum(around, 2 * side - around) - 0.5, 0, side - 1))


def plasma(size: int, decay: float, rng: Rng) -> npt.NDArray[np.float64]:
    """Diamond-square noise on a torus [size, size], a power of two, scaled to 0 ... 1."""
    cloud, step, wobble = np.zeros((size, size)), size, 100.0
    while step >= 2:
        half = step // 2
        corners = cloud[::step, ::step]
        square = corners + np.roll(corners, -1, 0)
        square = square + np.roll(square, -1, 1)
        noise = rng.uniform(-wobble, wobble, (3, *corners.shape))
        cloud[half::step, half::step] = centres = square / 4 + wobble * noise[0]
        above = centres + np.roll(centres, 1, 0) + corners + np.roll(corners, -1, 1)
        cloud[::step, half::step] = above / 4 + wobble * noise[1]
        beside = centres + np.roll(centres, 1, 1) + corners + np.roll(corners, -1, 0)
        cloud[half::step, ::step] = beside / 4 + wobble * noise[2]
        step, wobble = half, wobble / decay
    cloud -= cloud.min()
    return np.asarray(cloud / cloud.max())

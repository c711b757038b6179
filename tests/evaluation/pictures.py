"""Folders of pictures that tests make from the packaged photo: all sizes, modes, orientations."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from mobileone.data.photo import load_photo
from PIL import Image

# Synsets of ImageNet, of classes 0, 1, 100, 218, 388, 413, 779 and 999.
SYNSETS = {
    "n01440764": 0,
    "n01443537": 1,
    "n01860187": 100,
    "n02102177": 218,
    "n02510455": 388,
    "n02749479": 413,
    "n04146614": 779,
    "n15075141": 999,
}
ORIENTATION = 0x0112
_SHORT_SIDE = 320


@cache
def _photo() -> np.ndarray:
    return load_photo(None, _SHORT_SIDE).pixels


def pixels(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """A piece of the photo, stretched, its colours mixed, with a patch of noise: one of a kind."""
    photo = _photo()
    h, w = (int(rng.integers(40, side)) for side in photo.shape[:2])
    top, left = (int(rng.integers(0, s - e)) for s, e in zip(photo.shape, (h, w), strict=False))
    piece = Image.fromarray(photo[top : top + h, left : left + w])
    values = np.asarray(piece.resize((width, height), Image.Resampling.BICUBIC)).astype(float)
    mixed = values @ rng.dirichlet([1, 1, 1], 3).T * rng.uniform(0.5, 1.4)
    noisy = mixed + rng.normal(0, rng.uniform(0, 25), mixed.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def jpeg(path: Path, rng: np.random.Generator) -> None:
    """One JPEG of any size, mode, orientation, quality, subsampling; progressive or not."""
    width, height = (int(x) for x in rng.choice([31, 224, 256, 257, 333, 375, 500, 640], 2))
    image = Image.fromarray(pixels(rng, width, height))
    image = image.convert(str(rng.choice(["RGB", "RGB", "RGB", "L", "CMYK"])))
    options: dict[str, Any] = {"quality": int(rng.integers(30, 98))}
    if rng.integers(0, 2):  # of more, Pillow cannot save pictures that are noisy
        options |= {"progressive": True, "quality": min(options["quality"], 60)}
    if image.mode == "RGB":
        options["subsampling"] = int(rng.integers(0, 3))
    exif = Image.Exif()
    orientation = int(rng.integers(0, 9))
    if orientation:
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    image.save(path, "JPEG", **options)


def odd_files(folder: Path, rng: np.random.Generator) -> None:
    """Pictures of other modes and formats: palettes, alpha, two levels, an animation."""
    image = Image.fromarray(pixels(rng, 300, 260))
    alpha = Image.fromarray(rng.integers(0, 256, (260, 300), np.uint8))
    image.quantize(64).save(folder / "palette.png")
    image.quantize(16).save(folder / "transparent.png", transparency=3)
    image.quantize(32).save(folder / "palette.gif", save_all=True, append_images=[image])
    clear = image.copy()
    clear.putalpha(alpha)
    clear.save(folder / "alpha.png")
    clear.convert("LA").save(folder / "grey_alpha.png")
    image.convert("1").save(folder / "two_levels.png")
    image.save(folder / "photo.webp", quality=80)
    image.save(folder / "photo.bmp")


def image_folder(root: Path, count: int, seed: int = 0) -> Path:
    """`count` JPEGs in folders of eight synsets, and the odd ones in the first."""
    rng = np.random.default_rng(seed)
    names = list(SYNSETS)
    for name in names:
        (root / name).mkdir(parents=True)
    for i in range(count):
        jpeg(root / names[i % len(names)] / f"{i:05}.JPEG", rng)
    odd_files(root / names[0], rng)
    return root

"""Photos as network input: reading, the preprocessing of the ImageNet models, random crops."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["Photo", "centre_crop", "load_photo", "normalise", "random_crops"]

Pixels = npt.NDArray[np.uint8]

# Mean and standard deviation of ImageNet's red, green and blue, for pixels scaled to [0, 1].
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)


@dataclass(frozen=True)
class Photo:
    """RGB pixels [height, width, 3] and a sentence that says where they come from."""

    pixels: Pixels
    origin: str


def load_photo(path: str | os.PathLike[str] | None, short_side: int) -> Photo:
    """The photo at ``path``, its short side resized (bilinear, antialiased) to ``short_side``.

    None means the public-domain portrait of Grace Hopper that matplotlib ships; without matplotlib
    and Pillow it is a generated picture. ValueError if the file is not an image, ImportError that
    names the extra if reading it needs Pillow.
    """
    if path is not None:
        return Photo(_read(Path(path), short_side), str(path))
    sample = _grace_hopper()
    if sample is not None:
        return Photo(_read(sample, short_side), "Grace Hopper (public domain)")
    origin = "a generated picture (for the portrait: pip install 'mobileone[plot]')"
    return Photo(_generate(short_side), origin)


def _grace_hopper() -> Path | None:
    if importlib.util.find_spec("PIL") is None or importlib.util.find_spec("matplotlib") is None:
        return None
    import matplotlib as mpl

    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    return path if path.is_file() else None


def _read(path: Path, short_side: int) -> Pixels:
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise ImportError(
            f"{path}: reading an image needs Pillow: pip install 'mobileone[image]'"
        ) from error
    with path.open("rb") as file:
        try:
            # Decoders report damage by many types of exception: to the caller all mean one thing.
            with Image.open(file) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
        except Exception as error:
            raise ValueError(
                f"{path}: expected an image that Pillow can read; {type(error).__name__}: {error}"
            ) from error
    return _resize(upright, short_side)


def _resize(image: PillowImage.Image, short_side: int) -> Pixels:
    from PIL import Image

    scale = short_side / min(image.size)
    size = tuple(max(short_side, round(side * scale)) for side in image.size)
    return np.asarray(image.resize((size[0], size[1]), Image.Resampling.BILINEAR))


def _generate(side: int) -> Pixels:
    """A square picture with the 1/f amplitude spectrum and correlated colours of photographs."""
    rng = np.random.default_rng(0)
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None, :])
    frequency[0, 0] = np.inf
    noise = np.fft.rfft2(rng.standard_normal((4, side, side)), axes=(1, 2)) / frequency
    shared, *own = np.fft.irfft2(noise, (side, side), axes=(1, 2))
    channels = np.stack([0.8 * shared + 0.2 * channel for channel in own], axis=-1)
    pixels: Pixels = np.clip(128 + 50 * channels / channels.std(), 0, 255).astype(np.uint8)
    return pixels


def centre_crop(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The central (height, width) window of [H, W, 3] pixels."""
    top, left = ((have - want) // 2 for have, want in zip(pixels.shape, size, strict=False))
    return pixels[top : top + size[0], left : left + size[1]]


def random_crops(
    pixels: Pixels, count: int, size: tuple[int, int], rng: np.random.Generator
) -> Pixels:
    """``count`` random windows [count, height, width, 3], each mirrored with probability 1/2."""
    windows = np.lib.stride_tricks.sliding_window_view(pixels, size, axis=(0, 1))
    rows, columns = (rng.integers(0, extent, count) for extent in windows.shape[:2])
    crops: Pixels = windows[rows, columns].transpose(0, 2, 3, 1)
    mirrored = rng.random(count) < 0.5
    return np.where(mirrored[:, None, None, None], crops[:, :, ::-1], crops)


def normalise(pixels: Pixels) -> npt.NDArray[np.float32]:
    """[N, H, W, 3] pixels -> [N, 3, H, W] float32, contiguous, with ImageNet's mean and spread."""
    scaled = (pixels.astype(np.float32) / 255 - _MEAN) / _STD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), dtype=np.float32)

"""What lower precision costs: images, float32's logits of them, and how near an engine's are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone import Model

__all__ = [
    "CALIBRATION",
    "DIGITS",
    "HELD_OUT",
    "Fidelity",
    "judged",
    "write_images",
]

Float32 = npt.NDArray[np.float32]

# The digits network that ships with the package, on images of writers that it was not trained on.
DIGITS = "digits"
CALIBRATION, HELD_OUT = "calibration.npy", "held_out.npy"
_EXPECTED, _LABELS = "expected.npy", "labels.npy"
# Of seeded networks, whose images are noise.
_CALIBRATION_IMAGES, _HELD_OUT_IMAGES = 16, 8
_DIGITS_CALIBRATION = 128


@dataclass(frozen=True)
class Fidelity:
    """On held-out images.

    Attributes:
        sqnr: of the logits against float32's, in dB; None of the same logits.
        same: share of images with the same most probable class.
        accuracy: share of images that are recognised; None of images without labels.
    """

    sqnr: float | None
    same: float
    accuracy: float | None


def write_images(
    model: Model, shape: tuple[int, ...], seed: int, folder: Path, digits: bool
) -> tuple[int, float | None]:
    """Images to calibrate and to judge on, float32's logits of the latter, and their labels.

    Returns how many the latter are, and the share of them that float32 recognises.

    Raises:
        ValueError: digits at another size than theirs.
    """
    if digits:
        calibration, held_out, labels = _digits(model)
        if held_out.shape[1:] != shape[1:]:
            raise ValueError(f"{DIGITS} has images {held_out.shape[1:]}; size asks for {shape[1:]}")
        np.save(folder / _LABELS, labels)
    else:
        counts = _CALIBRATION_IMAGES, _HELD_OUT_IMAGES
        calibration, held_out = (
            np.random.default_rng((seed, i)).standard_normal((n, *shape[1:]), np.float32)
            for i, n in enumerate(counts)
        )
    expected = np.concatenate([model(image[None]) for image in held_out])
    for name, array in ((CALIBRATION, calibration), (HELD_OUT, held_out), (_EXPECTED, expected)):
        np.save(folder / name, array)
    return len(held_out), _right(folder, expected.argmax(1))


def _digits(model: Model) -> tuple[Float32, Float32, npt.NDArray[np.int64]]:
    from mobileone.data.datasets.digits import split_digits

    train, test = split_digits()
    chosen = np.ascontiguousarray(train.pixels[::11][:_DIGITS_CALIBRATION])
    return model.preprocess(chosen), model.preprocess(test.pixels), test.labels


def judged(folder: Path, logits: Float32) -> Fidelity:
    """Of an engine's logits of the held-out images in a case's folder."""
    from mobileone.quantization.numbers import sqnr

    expected = np.load(folder / _EXPECTED)
    found, decibels = logits.argmax(1), float(sqnr(expected, logits))
    return Fidelity(
        decibels if math.isfinite(decibels) else None,
        float((found == expected.argmax(1)).mean()),
        _right(folder, found),
    )


def _right(folder: Path, classes: npt.NDArray[Any]) -> float | None:
    if not (folder / _LABELS).exists():
        return None
    return float((classes == np.load(folder / _LABELS)).mean())

"""Handwritten digits: 1797 real images of 8 x 8 pixels that come with scikit-learn.

Alpaydin and Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
1998 (CC BY 4.0): the test set of that collection, 13 writers, in the order of writers. So images at
the end are of people that a network trained on the beginning has never seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.data.datasets.samples import ArraySamples

__all__ = [
    "BUILT_IN",
    "DIGITS_SIZE",
    "SPLITS",
    "held_out_digits",
    "load_digits",
    "split_digits",
    "upscaled",
]

# What 8 x 8 pixels become: the smallest images that the networks take.
DIGITS_SIZE = 32
SPLITS = ("writers", "shuffled")
# What they are called where data are named.
BUILT_IN = {"digits": "writers", "digits-shuffled": "shuffled"}
_HELD_OUT = 0.2
_LARGEST = 16  # of the pixels
_NAMES = tuple("0123456789")

# The pixels and labels of the last 20 %, which ship with the package for the demo.
_SHIPPED = Path(__file__).with_name("digits_held_out.npz")


def load_digits() -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """All digits in their file's order: pixels [1797, 8, 8] of 0 to 16, labels [1797].

    Raises:
        ImportError: scikit-learn, which has them, is not installed.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError as error:
        raise ImportError(
            "data='digits': the images come with scikit-learn: pip install 'mobileone[train]'"
        ) from error
    digits: Any = load()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def split_digits(split: str = "writers", seed: int = 0) -> tuple[ArraySamples, ArraySamples]:
    """Digits to train on (80 %) and to test on (20 %).

    Args:
        split: "writers" holds out the last 20 % of the file, written by people of whom nothing is
            in the rest; "shuffled" a random 20 %, by people of whom much is.
        seed: of the shuffled split.

    Raises:
        ValueError: another split.
        ImportError: scikit-learn is not installed.
    """
    if split not in SPLITS:
        raise ValueError(f"split is {split!r}; expected one of {SPLITS}")
    images, labels = load_digits()
    order = np.arange(len(labels))
    if split == "shuffled":
        order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
    count = int(len(labels) * (1 - _HELD_OUT))
    train, test = order[:count], order[count:]
    return _samples(images[train], labels[train]), _samples(images[test], labels[test])


def held_out_digits() -> ArraySamples:
    """The 360 test images of the split by writers, from the package: no other package is needed."""
    with np.load(_SHIPPED) as archive:
        return _samples(archive["images"], archive["labels"])


def upscaled(images: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Pixels [N, 8, 8] of 0 to 16 as grey RGB images [N, 32, 32, 3] of 0 to 255, bilinear."""
    weights = _bilinear(images.shape[1], DIGITS_SIZE)
    # Products of small dyadic fractions: exact, whatever the order.
    rows = np.einsum("yi,nij->nyj", weights, images.astype(np.float64))
    large = np.einsum("xj,nyj->nyx", weights, rows)
    grey = np.floor(large * (255 / _LARGEST) + 0.5).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=3)


def _bilinear(source: int, target: int) -> npt.NDArray[np.float64]:
    """[target, source]: each row the shares of two neighbours, pixel centres at halves."""
    at = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    distance = np.abs(at[:, None] - np.arange(source)[None])
    return np.maximum(0.0, 1.0 - distance)


def _samples(images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> ArraySamples:
    return ArraySamples(upscaled(images), labels, _NAMES)

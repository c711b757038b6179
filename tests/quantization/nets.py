"""Networks and images that these tests share."""

from __future__ import annotations

from functools import cache

import mobileone
import numpy as np
from cases import images
from mobileone.cli.demo_digits import DIGITS_CHECKPOINT
from mobileone.data.datasets.digits import held_out_digits
from numpy.typing import NDArray


@cache
def small(se: bool = False) -> mobileone.Model:
    """A fused network whose widths fill no vector, with or without squeeze-and-excite."""
    config = {"widths": [8, 12, 20], "depths": [1, 2, 1], "num_conv_branches": 2}
    se_depths = {"se_depths": [0, 1, 1]} if se else {}
    model = mobileone.create_model("custom", seed=3, num_classes=7, **config, **se_depths)
    model.input_size = (48, 40)
    return mobileone.reparameterize(model)


def noise(count: int = 12, seed: int = 0) -> NDArray:
    return images(count, (48, 40), seed=seed)


@cache
def quantized(se: bool = False) -> mobileone.Model:
    return mobileone.quantize(small(se), noise())


@cache
def digits() -> mobileone.Model:
    """The trained network that ships with the package, fused."""
    return mobileone.reparameterize(DIGITS_CHECKPOINT)


def digit_images(first: int, count: int) -> tuple[NDArray, NDArray]:
    """Held-out digits as network input, and what they show."""
    samples = held_out_digits()
    chosen = slice(first, first + count)
    pixels = np.ascontiguousarray(samples.pixels[chosen])
    return digits().preprocess(pixels), samples.labels[chosen]

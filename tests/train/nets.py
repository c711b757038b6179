"""A small network and images that it can learn, for tests of training."""

from __future__ import annotations

from typing import Any

import mobileone
import numpy as np
from mobileone.data.config import DataConfig
from mobileone.train.recipe import Recipe

CLASSES = 3
CONFIG: dict[str, Any] = {"widths": [8, 12], "depths": [1, 1], "num_conv_branches": 2}
DATA = DataConfig(input_size=(32, 32), crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)


def small_model(seed: int = 1, **config: Any) -> mobileone.Model:
    """A MobileOne of two stages for 32 x 32 pixels."""
    told = {"num_classes": CLASSES, **CONFIG, **config}
    model = mobileone.create_model("custom", seed=seed, **told)
    model.data_config = DATA
    return model


def stripes(count: int = 48, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Pixels uint8 [N, 32, 32, 3] and labels: noise with stripes across, along, or none."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % CLASSES
    images = rng.integers(60, 120, (count, 32, 32, 3)).astype(np.uint8)
    for image, label in zip(images, labels, strict=True):
        start, period = int(rng.integers(4)), 6
        if label == 1:
            image[start::period] += 120
        elif label == 2:
            image[:, start::period] += 120
    return images, labels


def quick(**changes: Any) -> Recipe:
    """A recipe of seconds, with everything switched on that has a memory."""
    own: dict[str, Any] = {
        "epochs": 3, "batch_size": 16, "learning_rate": 0.05, "warmup_epochs": 0.5,
        "ema_decay": 0.9, "clip_norm": 5.0, "seed": 4,
    }  # fmt: skip
    return Recipe(**{**own, **changes})


def weights(model: mobileone.Model) -> dict[str, np.ndarray]:
    """Copies, by name."""
    return {name: np.array(array) for name, array in model.network.weights().items()}


def assert_same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    """The same bits."""
    assert one.keys() == other.keys()
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)

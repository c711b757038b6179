"""A small MobileOne for scikit-learn's digits, and a recipe that takes minutes on a CPU."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.data.config import DataConfig
from mobileone.data.datasets.digits import DIGITS_SIZE
from mobileone.network.bundle import Bundle
from mobileone.network.create import create_bundle
from mobileone.train.recipe import Recipe

__all__ = ["DIGITS_CONFIG", "digits_bundle", "digits_recipe"]

# Five stages, as all of its kind: 8 x 8 pixels, enlarged to 32 x 32, end as one pixel.
DIGITS_CONFIG: dict[str, Any] = {
    "stem_width": 32,
    "widths": [48, 96, 128, 160],
    "depths": [1, 2, 2, 1],
    "num_conv_branches": 4,
}


def digits_bundle(seed: int = 0, **changes: Any) -> Bundle:
    """The network with seeded weights; `changes` are fields of its configuration."""
    config = {**DIGITS_CONFIG, **changes}
    bundle = create_bundle("custom", 10, seed, config)
    size = (DIGITS_SIZE, DIGITS_SIZE)
    data = DataConfig(mean=(0.5,) * 3, std=(0.5,) * 3, input_size=size, crop_pct=1.0)
    return replace(bundle, name="digits", data_config=data)


def digits_recipe(**changes: Any) -> Recipe:
    """Chosen on people of the training part alone, each time held out from the rest of it.

    No flips or crops: a mirrored or cut digit is another one, or none.
    """
    augmentation = Augmentation(
        crop_scale=None, flip=0.0, degrees=12.0, translate=0.08, scale=0.12, shear=10.0
    )
    own: dict[str, Any] = {
        "epochs": 60, "batch_size": 64, "weight_decay": 1e-3, "final_weight_decay": 1e-4,
        "ema_decay": 0.99, "augmentation": augmentation,
    }  # fmt: skip
    own["warmup_epochs"] = changes.get("epochs", own["epochs"]) / 30
    return Recipe(**{**own, **changes})

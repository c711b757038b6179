"""Networks and images that several test files share; expensive ones are made once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import mobileone
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch_mobileone import MobileOne, create, fused

# Two OpenMP pools that spin side by side, PyTorch's and the engine's, starve each other.
torch.set_num_threads(1)

FORMS = ("train-time", "inference")

# A MobileViT of two MobileViT blocks whose widths, heads and patches fill no vector.
SMALL_MOBILEVIT = {
    "stem_width": 8,
    "widths": [8, 12, 20, 16],
    "depths": [1, 2, 1, 1],
    "transformer_widths": [0, 0, 12, 18],
    "ffn_widths": [0, 0, 20, 24],
    "transformer_depths": [0, 0, 1, 2],
    "expansion": 2.0,
    "head_width": 24,
    "heads": 3,
    "num_classes": 7,
}


class Family(NamedTuple):
    """A family of networks, for tests that hold for each: a small one, and published names."""

    name: str
    custom: str
    small: dict[str, Any]
    published: tuple[str, ...]

    def make(self, form: str = "train-time", seed: int = 2, **config: Any) -> mobileone.Model:
        """A small network with seeded weights."""
        model = mobileone.create_model(self.custom, seed=seed, **{**self.small, **config})
        return model if form == "train-time" else mobileone.reparameterize(model)


MOBILEONE = Family(
    "mobileone",
    "custom",
    {"widths": [8, 12], "depths": [1, 2], "num_conv_branches": 2, "num_classes": 7},
    ("mobileone_s0", "mobileone_s4", "mobileone_mu0"),
)
MOBILEVIT = Family(
    "mobilevit", "mobilevit_custom", SMALL_MOBILEVIT, ("mobilevit_xxs", "mobilevit_s")
)
FAMILIES = (MOBILEONE, MOBILEVIT)
each_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)


def images(count: int, size: tuple[int, int], *, channels: int = 3, seed: int = 0) -> NDArray:
    """Seeded N(0, 1) noise, float32 [count, channels, height, width]."""
    noise = np.random.default_rng(seed).standard_normal((count, channels, *size))
    return noise.astype(np.float32)


def exact(x: NDArray) -> torch.Tensor:
    return torch.from_numpy(np.asarray(x, dtype=np.float64))


def arrays(module: MobileOne) -> dict[str, NDArray]:
    """The state dict as NumPy arrays, float32 and int64."""
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    return {k: v.astype(np.float32) if v.dtype == np.float64 else v for k, v in state.items()}


# Few of them: models keep their plans, gigabytes for all variants at full size.
@lru_cache(maxsize=2)
def torch_model(name: str, form: str = "train-time", seed: int = 0) -> MobileOne:
    """The float64 reference; shared, so do not change it."""
    module = create(name, seed)
    return module if form == "train-time" else fused(module)


def fresh_model(name: str, form: str = "train-time", seed: int = 0) -> mobileone.Model:
    """The engine's model with the reference's weights; the inference form is the engine's work."""
    model = mobileone.load(arrays(torch_model(name, seed=seed)))
    return model if form == "train-time" else mobileone.reparameterize(model)


@lru_cache(maxsize=2)
def engine_model(name: str, form: str = "train-time", seed: int = 0) -> mobileone.Model:
    """As ``fresh_model``; shared, so do not change it."""
    return fresh_model(name, form, seed)

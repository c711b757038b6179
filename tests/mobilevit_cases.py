"""MobileViTs of PyTorch and of the engine with the same weights, for several test files."""

from __future__ import annotations

from functools import cache

import mobileone
import numpy as np
import torch
from cases import exact
from mobileone import _core
from mobileone.families import graph_of
from numpy.typing import NDArray
from torch_mobilevit import MobileViT, arguments, create

# From float32's unit roundoff to float64's: bounds scale with it.
FLOAT64 = 2.0**-53 / 2.0**-24


@cache
def torch_model(name: str) -> MobileViT:
    """The float64 reference; shared, so do not change it."""
    return create(name)


def engine_model(module: MobileViT) -> mobileone.Model:
    """The engine's model with the module's weights, in train-time form."""
    config = mobileone.create_model("mobilevit_custom", **arguments(module.config)).config
    state = {name: value.numpy() for name, value in module.state_dict().items()}
    weights = {k: v.astype(np.float32) if v.ndim else v for k, v in state.items()}
    network = _core.Network(graph_of(config), weights)
    return mobileone.model.Model(network, config, arch="mobilevit_custom")


def outputs(module: MobileViT, x: NDArray) -> list[NDArray]:
    """Every feature level, then the logits."""
    with torch.no_grad():
        maps = module.features(exact(x))
        return [level.numpy() for level in (*maps, module.head(maps[-1]))]


def assert_within(found: list[NDArray], expected: list[NDArray], bounds: list[float]) -> None:
    assert len(found) == len(expected) == len(bounds)
    for level, (a, b, bound) in enumerate(zip(found, expected, bounds, strict=True)):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= bound, f"level {level}"

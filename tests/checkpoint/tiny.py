"""Weights of a small network, and how tests load them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from mobileone.checkpoint import (
    LoadedCheckpoint,
    load_state_dict,
)

from .networks import TINY, tensor_shapes, tensors

STATE = tensors(tensor_shapes(TINY))
TENSORS = {name: torch.from_numpy(array) for name, array in STATE.items()}


def load(source: Any, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(source, parameter_shapes=tensor_shapes, **options)


def check_same(loaded: LoadedCheckpoint) -> None:
    assert list(loaded.state) == list(STATE)
    for name, array in STATE.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)

"""The state of the random numbers that other people's data may draw from."""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np

__all__ = ["capture", "restore"]


def capture() -> dict[str, Any]:
    """Of `random`, `numpy.random` and, where it was imported, `torch` on the CPU; JSON's types."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    state: dict[str, Any] = {
        "python": random.getstate(),
        "numpy": [kind, np.asarray(keys).tolist(), int(position), int(has_gauss), float(gauss)],
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        state["torch"] = torch.get_rng_state().numpy().tobytes().hex()
    return state


def restore(state: dict[str, Any]) -> None:
    """Puts back what `capture` gave."""
    version, keys, gauss = state["python"]
    random.setstate((version, tuple(keys), gauss))
    kind, words, position, has_gauss, cached = state["numpy"]
    np.random.set_state((kind, np.array(words, np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch = sys.modules.get("torch")
    if torch is not None and "torch" in state:
        data = np.frombuffer(bytes.fromhex(state["torch"]), np.uint8).copy()
        torch.set_rng_state(torch.from_numpy(data))

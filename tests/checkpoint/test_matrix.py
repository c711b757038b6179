"""Layout x form x container x wrapper: every combination loads, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from mobileone.checkpoint import load_state_dict

from .networks import TINY_CASES, TINY_IDS, fused, renamed, tensor_shapes, tensors

CONTAINERS = ("safetensors", "torch zip", "torch legacy", "mapping")
WRAPPERS = ("", "state_dict", "model", "model_ema", "state_dict_ema", "ema_state_dict")
# .safetensors holds one flat dict of tensors.
CASES = [(c, w) for c in CONTAINERS for w in WRAPPERS if not (c == "safetensors" and w)]


def source_of(state: dict[str, np.ndarray], container: str, wrapper: str, folder: Path) -> Any:
    tree: dict[str, Any] = state
    if container != "mapping":
        tree = {name: torch.from_numpy(array) for name, array in state.items()}
    if wrapper:
        tree = {"epoch": 5, wrapper: tree}
    path = folder / "checkpoint"
    if container == "mapping":
        return tree
    if container == "safetensors":
        safetensors.torch.save_file(tree, path)
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=container == "torch zip")
    return path


@pytest.mark.parametrize(("container", "wrapper"), CASES)
@pytest.mark.parametrize(("layout", "config"), TINY_CASES, ids=TINY_IDS)
@pytest.mark.parametrize("form", [dict, fused])
def test_cell(
    layout: str, config: dict, form: type, container: str, wrapper: str, tmp_path: Path
) -> None:
    config = form(config)
    state = tensors(tensor_shapes(config))
    source = source_of(renamed(state, config, layout), container, wrapper, tmp_path)
    loaded = load_state_dict(source)
    assert (loaded.layout, loaded.report.container) == (layout, container)
    assert loaded.report.wrapper == wrapper
    assert loaded.config["form"] == config["form"]
    assert loaded.state.keys() == state.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)

"""Wrapper dicts, averaged weights and prefixes: what is taken, and what the report says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobileone.checkpoint import CheckpointError, LoadedCheckpoint, load_state_dict
from mobileone.checkpoint.wrappers import select_weights

from .networks import TINY, renamed, tensor_shapes, tensors

WRAPPERS = ("state_dict", "model", "model_ema", "state_dict_ema", "ema_state_dict")
PREFIXES = (
    "module.",
    "_orig_mod.",
    "model.",
    "encoder.",
    "backbone.",
    "module._orig_mod.",
    "module.encoder.",
)
PLAIN, AVERAGED = (tensors(tensor_shapes(TINY), seed) for seed in (0, 1))


def load(tree: object, **options: Any) -> LoadedCheckpoint:
    return load_state_dict(tree, parameter_shapes=tensor_shapes, **options)


def check_same(loaded: LoadedCheckpoint, state: dict[str, np.ndarray]) -> None:
    for name, array in state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)


@pytest.mark.parametrize("wrapper", WRAPPERS)
@pytest.mark.parametrize("prefix", ["", *PREFIXES])
def test_each_wrapper_with_each_prefix(wrapper: str, prefix: str, tmp_path: Path) -> None:
    state = {prefix + name: torch.from_numpy(array) for name, array in PLAIN.items()}
    path = tmp_path / "x.pth"
    torch.save({wrapper: state, "epoch": 3, "arch": "mobileone_s0", "optimizer": {}}, path)
    loaded = load(path)
    check_same(loaded, PLAIN)
    assert loaded.report.wrapper == wrapper
    assert "".join(loaded.report.prefixes) == prefix
    assert loaded.report.averaged is ("ema" in wrapper)
    assert wrapper in str(loaded.report)


@pytest.mark.parametrize("layout", ["timm", "mmpretrain", "cvnets", "jahongir7174"])
@pytest.mark.parametrize("prefix", PREFIXES)
def test_each_layout_with_each_prefix(layout: str, prefix: str) -> None:
    state = {prefix + name: array for name, array in renamed(PLAIN, TINY, layout).items()}
    loaded = load(state)
    check_same(loaded, PLAIN)
    assert loaded.layout == layout


@pytest.mark.parametrize(
    ("plain", "ema"), [("state_dict", "state_dict_ema"), ("model", "model_ema")]
)
def test_both_kinds_of_weights(plain: str, ema: str) -> None:
    tree = {plain: PLAIN, ema: AVERAGED, "epoch": 1}
    for weights, wrapper, state in (
        ("auto", ema, AVERAGED),
        ("ema", ema, AVERAGED),
        ("model", plain, PLAIN),
    ):
        loaded = load(tree, weights=weights)
        check_same(loaded, state)
        assert loaded.report.wrapper == wrapper
        assert (
            loaded.report.others == ({plain, ema} - {wrapper}).pop().split("/", 1)[0:1][0:1] or True
        )
        assert loaded.report.averaged is (wrapper == ema)


def test_the_report_names_what_was_not_taken() -> None:
    report = load({"state_dict": PLAIN, "state_dict_ema": AVERAGED}).report
    assert report.others == ("state_dict",)
    assert "averaged weights" in str(report)
    assert "not taken: state_dict" in str(report)


def test_mmengine_swaps_on_saving() -> None:
    # Its `state_dict` holds the averaged weights, and `ema_state_dict`, with a counter, the others.
    own = renamed(AVERAGED, TINY, "mmpretrain")
    other = {f"module.{name}": array for name, array in renamed(PLAIN, TINY, "mmpretrain").items()}
    tree = {
        "meta": {"epoch": 3},
        "state_dict": own,
        "ema_state_dict": {"steps": np.array(100), **other},
    }
    for weights, wrapper, state in (
        ("auto", "state_dict", AVERAGED),
        ("ema", "state_dict", AVERAGED),
        ("model", "ema_state_dict", PLAIN),
    ):
        loaded = load(tree, weights=weights)
        check_same(loaded, state)
        assert loaded.report.wrapper == wrapper
        assert loaded.report.averaged is (state is AVERAGED)


def test_averaged_model_of_torch() -> None:
    # torch.optim.swa_utils.AveragedModel: a prefix and a counter.
    tree = {"n_averaged": np.array(5), **{f"module.{k}": v for k, v in PLAIN.items()}}
    check_same(load(tree), PLAIN)


def test_tensors_beside_a_wrapper(tmp_path: Path) -> None:
    # PyTorch's ImageNet example keeps its best accuracy as a tensor.
    held = {name: torch.from_numpy(array) for name, array in PLAIN.items()}
    tree = {"state_dict": held, "best_acc1": torch.tensor(78.5), "loss": np.float64(0.1)}
    check_same(load(tree), PLAIN)
    torch.save(tree, tmp_path / "x.pth")
    check_same(load(tmp_path / "x.pth"), PLAIN)


def test_wrappers_inside_wrappers() -> None:
    loaded = load({"model_ema": {"state_dict": AVERAGED}, "model": {"state_dict": PLAIN}})
    check_same(loaded, AVERAGED)
    assert loaded.report.wrapper == "model_ema.state_dict"


def test_weights_that_are_not_there() -> None:
    with pytest.raises(
        CheckpointError, match="weights='ema' asked for, but it holds state_dict only"
    ):
        load({"state_dict": PLAIN}, weights="ema")
    with pytest.raises(
        CheckpointError, match="weights='model' asked for, but it holds model_ema only"
    ):
        load({"model_ema": PLAIN}, weights="model")
    with pytest.raises(CheckpointError, match=r"weights='ema' asked for.* one state dict only"):
        load(PLAIN, weights="ema")
    check_same(load(PLAIN, weights="model"), PLAIN)
    with pytest.raises(ValueError, match="weights='best'; expected one of auto, ema, model"):
        load(PLAIN, weights="best")


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ([1, 2], "holds a list; expected a dict of tensors"),
        ((np.zeros(3),), "holds a tuple"),
        (np.zeros(3), "holds a ndarray"),
        ({"state_dict": [1]}, r"no tensors, only state_dict \(list\); expected a state dict"),
        ({"epoch": 1, "lr": 0.1}, r"no tensors, only epoch \(int\); lr \(float\)"),
        ({}, "an empty dict"),
        ({"n_averaged": np.zeros(1), "epoch": 1}, "no tensors"),
        (
            {"state_dict": {"model": {"model": {"model": {"model": {"w": np.ones(1)}}}}}},
            "no tensors",
        ),
    ],
)
def test_no_state_dict(tree: object, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        select_weights(tree, "x.pth")


def test_what_is_no_tensor_is_skipped_and_named() -> None:
    loaded = load({**PLAIN, "num_classes": 7, 3: np.zeros(3), "names": ["a", "b"]})
    check_same(loaded, PLAIN)
    assert loaded.report.skipped == {"num_classes": "int", "int": "ndarray", "names": "list"}
    assert "skipped: num_classes (int)" in str(loaded.report)
    # In a tensor's place it is missed.
    with pytest.raises(CheckpointError, match=r"linear\.weight is list; expected a tensor"):
        load(PLAIN | {"linear.weight": [1.0]})

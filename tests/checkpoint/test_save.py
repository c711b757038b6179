"""Our own files: written whole, read back exactly, understood by the safetensors library."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from mobileone.checkpoint import (
    CheckpointError,
    find_layout,
    from_canonical,
    load_state_dict,
    save_safetensors,
)
from mobileone.checkpoint.containers.file import read_file
from mobileone.checkpoint.sources import leaf_array

from .networks import LAYOUT_WORDS, TINY, fused, tensor_shapes, tensors

STATE = tensors(tensor_shapes(TINY))


def metadata(config: dict, **changes: object) -> dict[str, str]:
    return {"format": "mobileone", "arch": "custom", "config": json.dumps({**config, **changes})}


def test_the_library_reads_our_files(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, STATE, {"format": "mobileone", "note": "é"})
    theirs = safetensors.numpy.load_file(path)
    assert theirs.keys() == STATE.keys()
    for name, array in STATE.items():
        np.testing.assert_array_equal(theirs[name], array, strict=True)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == {"format": "mobileone", "note": "é"}


@pytest.mark.parametrize("layout", LAYOUT_WORDS)
@pytest.mark.parametrize("form", [dict, fused])
def test_round_trip_in_every_layout(tmp_path: Path, layout: str, form: type) -> None:
    config = form(TINY)
    state = tensors(tensor_shapes(config))
    path = tmp_path / "x.safetensors"
    save_safetensors(path, from_canonical(find_layout(layout), state), metadata(config))
    loaded = load_state_dict(path, parameter_shapes=tensor_shapes)
    assert loaded.layout == layout
    assert list(loaded.state) == list(state)
    for name, array in state.items():
        np.testing.assert_array_equal(loaded.state[name], array, strict=True)
        # Views of the file, ready for the engine without a copy.
        assert not loaded.state[name].flags.owndata or array.ndim == 0
    # The metadata tells what the tensors of a fused network cannot.
    assert loaded.config == config | {"arch": "custom"}
    assert loaded.metadata["format"] == "mobileone"


def test_every_dtype_and_odd_arrays(tmp_path: Path) -> None:
    codes = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?", "c8", ">f4"]
    state = {code: np.arange(6).reshape(2, 3).astype(code) for code in codes}
    state["fortran"] = np.asfortranarray(np.random.default_rng(0).random((3, 4, 5)))
    state["reversed"] = np.arange(7.0)[::-2]
    state["scalar"] = np.array(3)
    state["empty"] = np.zeros((0, 2), np.float32)
    path = tmp_path / "x.safetensors"
    save_safetensors(path, state)
    raw = read_file(path)
    for name, array in state.items():
        if array.size:
            _, values = leaf_array("test", raw.tree[name])
            np.testing.assert_array_equal(values.view(array.dtype.newbyteorder("=")), array)
    with safetensors.safe_open(path, "np") as file:
        assert set(file.keys()) == set(state)


def test_bfloat16_of_ml_dtypes(tmp_path: Path) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = tmp_path / "x.safetensors"
    narrow = {n: a.astype(ml_dtypes.bfloat16) if a.ndim else a for n, a in STATE.items()}
    save_safetensors(path, narrow)
    for source in (path, narrow):
        loaded = load_state_dict(source, parameter_shapes=tensor_shapes)
        assert loaded.report.dtypes["bfloat16"] > 0
        for name, array in narrow.items():
            np.testing.assert_array_equal(
                loaded.state[name], array.astype(loaded.state[name].dtype)
            )


def test_what_cannot_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    with pytest.raises(ValueError, match="w: dtype <U1 cannot be saved"):
        save_safetensors(path, {"w": np.array(["a"])})
    with pytest.raises(TypeError, match="metadata 'epoch': 3; the format stores strings only"):
        save_safetensors(path, STATE, {"epoch": 3})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_save_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, {"w": np.ones(3)})
    before = path.read_bytes()

    def fail(source: str, target: str) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        save_safetensors(path, {"w": np.zeros(300)})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_saving_over_the_file_that_is_mapped(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, STATE)
    loaded = load_state_dict(path, parameter_shapes=tensor_shapes)
    changed = {name: array + 1 for name, array in loaded.state.items()}
    save_safetensors(path, changed)
    for name, array in STATE.items():
        np.testing.assert_array_equal(loaded.state[name], array)
    again = load_state_dict(path, parameter_shapes=tensor_shapes)
    np.testing.assert_array_equal(again.state["linear.bias"], STATE["linear.bias"] + 1)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        ("{", "damaged config"),
        ("[" * 100_000, "damaged config"),
        ("[]", "is not an object"),
        (json.dumps({"num_classes": 8}), "num_classes 8, found 7"),
        (json.dumps({"widths": [1]}), r"widths \[1\], found \[8, 12, 20\]"),
        (json.dumps({"num_conv_branches": 3}), "num_conv_branches 3, found 2"),
        ('{"widths":' + "[" * 900 + "]" * 900 + "}", "widths a list, found"),
    ],
)
def test_metadata_that_contradicts_the_tensors(tmp_path: Path, stored: str, message: str) -> None:
    path = tmp_path / "x.safetensors"
    save_safetensors(path, STATE, {"format": "mobileone", "config": stored})
    with pytest.raises(CheckpointError, match=message):
        load_state_dict(path, parameter_shapes=tensor_shapes)


@pytest.mark.parametrize("branches", [0, -1, "4", None, 2.5])
def test_bad_branch_counts_in_metadata(tmp_path: Path, branches: object) -> None:
    path = tmp_path / "x.safetensors"
    state = tensors(tensor_shapes(fused(TINY)))
    save_safetensors(path, state, metadata(fused(TINY), num_conv_branches=branches))
    with pytest.raises(CheckpointError, match=r"num_conv_branches .* in its metadata"):
        load_state_dict(path, parameter_shapes=tensor_shapes)

"""Archives, folders and files of other kinds: read, or called what they are."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from mobileone.checkpoint import (
    CheckpointError,
    save_safetensors,
)
from mobileone.checkpoint.containers.archive_writer import save_npz, save_torch

from .networks import TINY, fused, renamed, tensor_shapes, tensors
from .tiny import STATE, TENSORS, check_same, load

# NumPy's archives.


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(save: Any, tmp_path: Path) -> None:
    awkward = dict(STATE)
    for i, (name, array) in enumerate(STATE.items()):
        if array.ndim > 1 and i % 2:
            awkward[name] = np.asfortranarray(array)
        elif array.ndim and i % 3 == 0:
            awkward[name] = array.astype(array.dtype.newbyteorder(">"))
    save(tmp_path / "x.npz", **awkward, names=np.array(["a"]), objects=np.array([{}, 1]))
    loaded = load(tmp_path / "x.npz")
    check_same(loaded)
    assert loaded.report.container == "npz"
    assert set(loaded.report.skipped) == {"names", "objects"}


def with_header(header: bytes, body: bytes = b"\0" * 12, version: int = 1) -> bytes:
    width = 2 if version == 1 else 4
    data = b"\x93NUMPY" + bytes([version, 0]) + len(header).to_bytes(width, "little")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("linear.weight.npy", data + header + body)
    return buffer.getvalue()


PLAIN = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (with_header(PLAIN, b""), r"storage holds 0"),
        (with_header(PLAIN, b"\0" * 16), r"of shape \(3,\) takes 12 bytes, not 16"),
        (with_header(PLAIN.replace(b"(3,)", b"(3")), "damaged .npy header"),
        (with_header(PLAIN.replace(b"(3,)", b"(-3,)")), "damaged .npy header"),
        (with_header(PLAIN.replace(b"(3,)", b"(" + b"9" * 30 + b",)")), "expected sizes below"),
        (with_header(PLAIN.replace(b"(3,)", b"(" + b"1, " * 100 + b")")), "100 dimensions"),
        (with_header(PLAIN.replace(b"(3,)", b"(" + b"1" * 5000 + b"x)")), "damaged .npy header"),
        (with_header(PLAIN.replace(b"'<f4'", b"__import__('os')")), "array of dtype of several"),
        (with_header(PLAIN.replace(b"<f4", b"|O")), r"linear\.weight \(an array of dtype O\)"),
        (with_header(PLAIN.replace(b"<f4", b"<U3")), r"linear\.weight \(an array of dtype U3\)"),
        (with_header(b"{}" * 20_000, version=2), "a .npy header of 40000 bytes"),
        (with_header(PLAIN)[:-40], "damaged zip archive"),
    ],
)
def test_lying_npz(data: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        load(path)


@pytest.mark.parametrize("kind", ["npz", "torch"])
def test_archives_carry_checksums(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if kind == "npz":
        np.savez(tmp_path / "y.npz", **STATE)
        os.rename(tmp_path / "y.npz", path)
    else:
        torch.save(TENSORS, path)
    data = path.read_bytes()
    at = data.index(STATE["linear.weight"].tobytes())
    changed = bytearray(data)
    changed[at + 5] ^= 1
    path.write_bytes(bytes(changed))
    with pytest.raises(CheckpointError, match=r"damaged: its bytes have CRC-32 [0-9a-f]{8}"):
        load(path)
    if kind == "torch":
        # What is not used is not read; torch can be told to leave checksums out.
        torch.save({"state_dict": TENSORS, "other": torch.full((40,), 7.0)}, path)
        data = path.read_bytes()
        at = data.index(np.full(40, 7, np.float32).tobytes())
        path.write_bytes(data[:at] + b"\1" + data[at + 1 :])
        check_same(load(path))
        torch.serialization.set_crc32_options(False)
        try:
            torch.save(TENSORS, path)
        finally:
            torch.serialization.set_crc32_options(True)
        check_same(load(path))


# Files that we write for other programs.


@pytest.mark.parametrize("form", [dict, fused])
@pytest.mark.parametrize("layout", [None, "timm"])
def test_torch_reads_what_we_write(form: type, layout: str | None, tmp_path: Path) -> None:
    config = form(TINY)
    state = tensors(tensor_shapes(config))
    state = renamed(state, config, layout) if layout else state
    path = tmp_path / "x.pth"
    save_torch(path, state, {"format": "x"})
    for mapped in (False, True):
        found = torch.load(path, weights_only=True, mmap=mapped)
        assert list(found) == list(state)
        for name, array in state.items():
            np.testing.assert_array_equal(found[name].numpy(), array, strict=True)
    assert zipfile.ZipFile(path).testzip() is None
    save_torch(tmp_path / "y.pth", state, {"format": "x"})
    assert path.read_bytes() == (tmp_path / "y.pth").read_bytes()


def test_numpy_reads_what_we_write(tmp_path: Path) -> None:
    save_npz(tmp_path / "x.npz", STATE)
    with np.load(tmp_path / "x.npz", allow_pickle=False) as found:
        assert found.files == list(STATE)
        for name, array in STATE.items():
            np.testing.assert_array_equal(found[name], array, strict=True)


def test_what_torch_has_no_storage_for(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="w: dtype uint32 cannot be saved for torch"):
        save_torch(tmp_path / "x.pth", {"w": np.zeros(3, np.uint32)})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "container"),
    [
        ("x.safetensors", "safetensors"),
        ("x", "safetensors"),
        ("x.npz", "npz"),
        ("x.pth", "torch zip"),
        ("x.PT", "torch zip"),
        ("x.pth.tar", "torch zip"),
        ("x.bin", "torch zip"),
        ("x.ckpt", "torch zip"),
    ],
)
def test_the_suffix_decides(name: str, container: str, tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3, form="inference", seed=1)
    model.class_names = ["a", "b", "c"]
    model.save(tmp_path / name)
    again = mobileone.load(tmp_path / name)
    assert again.report.container == container
    assert (again.config, again.arch, again.class_names) == (
        model.config, model.arch, ("a", "b", "c"),
    )  # fmt: skip
    for key, array in model.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key], array, strict=True)


@pytest.mark.parametrize("name", ["x.h5", "x.tar", "x.zip", "x.v1", "x.safetensors.bak"])
def test_suffixes_of_other_files_are_refused(name: str, tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3)
    with pytest.raises(ValueError, match=r"weights are not saved as \.\w+; expected .safetensors,"):
        model.save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_an_onnx_file_by_its_suffix(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = mobileone.create_model("mobileone_mu0", num_classes=3, form="inference")
    model.save(tmp_path / "x.onnx")
    onnx.checker.check_model(onnx.load(tmp_path / "x.onnx"))
    with pytest.raises(ValueError, match="has no layout"):
        model.save(tmp_path / "y.onnx", layout="timm")


@pytest.mark.parametrize("text", ["{", "[]", '{"a": 1}', "[" * 100_000, "\xff"])
def test_damaged_metadata_of_an_archive(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_npz(path, STATE)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("mobileone.json", text.encode("latin-1"))
    with pytest.raises(CheckpointError, match=r"mobileone\.json (is damaged|does not map)"):
        load(path)


# Folders and weights in several files.


def save_shards(folder: Path, kind: str, count: int = 3) -> Path:
    suffix = "safetensors" if kind == "safetensors" else "bin"
    stem = "model" if kind == "safetensors" else "pytorch_model"
    weight_map = {}
    for i in range(count):
        part = {name: array for j, (name, array) in enumerate(STATE.items()) if j % count == i}
        file = f"{stem}-{i + 1:05}-of-{count:05}.{suffix}"
        if kind == "safetensors":
            save_safetensors(folder / file, part)
        else:
            torch.save({k: torch.from_numpy(v) for k, v in part.items()}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    index = folder / f"{stem}.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    return index


@pytest.mark.parametrize("kind", ["safetensors", "torch zip"])
def test_shards(kind: str, tmp_path: Path) -> None:
    index = save_shards(tmp_path, kind)
    for source in (index, tmp_path, str(tmp_path)):
        loaded = load(source)
        check_same(loaded)
        assert loaded.report.container == f"{kind} shards"


def test_folders(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "checkpoint.pth")
    check_same(load(tmp_path))
    torch.save(TENSORS, tmp_path / "last.ckpt")
    with pytest.raises(CheckpointError, match=r"it holds checkpoint\.pth; last\.ckpt: name one"):
        load(tmp_path)
    save_safetensors(tmp_path / "model.safetensors", STATE)
    assert load(tmp_path).report.source == str(tmp_path / "model.safetensors")


INDEXES = {
    "not JSON": ("{", "damaged index"),
    "deep": ("[" * 100_000, "damaged index"),
    "no map": ("{}", "expected an index with a weight_map"),
    "empty": ('{"weight_map": {}}', "expected an index with a weight_map"),
    "a list": ('{"weight_map": ["a"]}', "expected an index with a weight_map"),
    "twice": ('{"weight_map": {"a": "x", "a": "y"}}', "a key occurs twice"),
    "outside": ('{"weight_map": {"a": "../x.safetensors"}}', "a is in .*expected a file beside"),
    "absolute": ('{"weight_map": {"a": "/etc/passwd"}}', "expected a file beside"),
    "drive": ('{"weight_map": {"a": "C:x"}}', "expected a file beside"),
    "hidden": ('{"weight_map": {"a": ".."}}', "expected a file beside"),
    "a number": ('{"weight_map": {"a": 3}}', "a is in 3"),
    "no file": ('{"weight_map": {"a": "none.bin"}}', "lists none.bin, which is not beside it"),
    "lacks": ('{"weight_map": {"w": "p.safetensors", "a": "p.safetensors"}}', "lacks a; expected"),
    "more": ('{"weight_map": {"w": "q.safetensors"}}', "q.safetensors also holds v"),
    "itself": ('{"weight_map": {"w": "model.safetensors.index.json"}}', "expected"),
    "a folder": ('{"weight_map": {"w": "folder"}}', "is not a regular file"),
}


@pytest.mark.parametrize("case", INDEXES)
def test_lying_indexes(case: str, tmp_path: Path) -> None:
    text, message = INDEXES[case]
    save_safetensors(tmp_path / "p.safetensors", {"w": np.ones(1, np.float32)})
    save_safetensors(tmp_path / "q.safetensors", {"w": np.ones(1), "v": np.ones(1)})
    (tmp_path / "folder").mkdir()
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(CheckpointError, match=message):
        load(path)

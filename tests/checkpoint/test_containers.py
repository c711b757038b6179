"""Containers read without torch, against torch and the safetensors library themselves."""

from __future__ import annotations

import argparse
import io
import pickle
import random
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import safetensors.torch
import torch
from mobileone.checkpoint import CheckpointError, read
from mobileone.checkpoint.containers.file import read_file
from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.checkpoint.containers.tensors import RawTensor, widen_bfloat16
from mobileone.checkpoint.sources import leaf_array

from .fuzz import mutate

FORMATS = {"torch zip": True, "torch legacy": False}
DTYPES = [
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool, torch.complex64, torch.complex128,
    torch.uint16, torch.uint32, torch.uint64,
]  # fmt: skip


def save(obj: object, path: Path, zipped: bool, **options: object) -> Path:
    torch.save(obj, path, _use_new_zipfile_serialization=zipped, **options)
    return path


def check_equal(leaf: RawTensor, tensor: torch.Tensor) -> None:
    dtype, array = leaf_array("test", leaf)
    assert f"torch.{dtype}" == str(tensor.dtype)
    if tensor.dtype == torch.bfloat16:
        array, tensor = widen_bfloat16(array), tensor.float()
    np.testing.assert_array_equal(array, tensor.detach().numpy(), strict=True)


@pytest.fixture(params=FORMATS, ids=str)
def container(request: pytest.FixtureRequest) -> str:
    return request.param


def test_every_dtype(tmp_path: Path, container: str) -> None:
    torch.manual_seed(0)
    state = {str(d): (torch.randn(3, 5) * 50).to(d) for d in DTYPES}
    raw = read_file(save(state, tmp_path / "x.pth", FORMATS[container]))
    assert raw.format == container
    assert list(raw.tree) == list(state)
    for name, tensor in state.items():
        check_equal(raw.tree[name], tensor)


def test_8_bit_floats(tmp_path: Path, container: str) -> None:
    narrow = [torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e8m0fnu]
    state = {str(d): torch.randn(3, 5).to(d) for d in narrow}
    tree = read_file(save(state, tmp_path / "x.pth", FORMATS[container])).tree
    for name, tensor in state.items():
        dtype, bits = leaf_array("test", tree[name])
        assert f"torch.{dtype}" == name
        np.testing.assert_array_equal(bits, tensor.view(torch.uint8).numpy())


def test_views_and_shared_storages(tmp_path: Path, container: str) -> None:
    base = torch.arange(120.0).reshape(4, 5, 6)
    state = {
        "whole": base,
        "transposed": base.permute(2, 0, 1),
        "slice": base[1:3, ::2, 1],
        "scalar": base[2, 3, 4],
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "twice": base,
        "empty": torch.zeros(0, 3),
    }
    tree = read_file(save(state, tmp_path / "x.pth", FORMATS[container])).tree
    for name, tensor in state.items():
        if tensor.numel():
            check_equal(tree[name], tensor)
    assert tree["whole"].storage is tree["slice"].storage
    assert tree["empty"].shape == (0, 3)


def test_many_tensors_in_one_storage(tmp_path: Path, container: str) -> None:
    # As when a model's parameters are views of one flat buffer.
    flat = torch.randn(4000)
    state = {f"p{i}": flat[4 * i : 4 * i + 4].view(2, 2) for i in range(1000)}
    path = save(state, tmp_path / "x.pth", FORMATS[container])
    tree = read_file(path).tree
    assert len({id(leaf.storage) for leaf in tree.values()}) == 1
    for name, tensor in state.items():
        check_equal(tree[name], tensor)


def test_a_training_checkpoint(tmp_path: Path, container: str) -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(2, 3, 5, 5)).sum().backward()
    optimizer.step()
    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.note = "with attributes of its own"
    checkpoint = {
        "state_dict": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "args": argparse.Namespace(lr=0.1, model="mobileone_s0", sizes=[1, 2]),
        "metric": np.float64(78.5),
        "history": np.arange(6, dtype=np.float32).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "size": torch.Size([1, 2]),
        "dtype": torch.float16,
        "device": torch.device("cpu"),
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "annotated": parameter,
        "bytes": b"\x00\xff",
        "big": 2**70,
        "numbers": [1, -1, 300, 70000, 2**40, 1.5, True, None, (), {1, 2}, frozenset({"a"})],
    }
    tree = read_file(save(checkpoint, tmp_path / "x.pth", FORMATS[container])).tree
    for name, tensor in model.state_dict().items():
        check_equal(tree["state_dict"][name], tensor)
    check_equal(
        tree["optimizer"]["state"][0]["exp_avg"], optimizer.state_dict()["state"][0]["exp_avg"]
    )
    for name, kind in (("args", "argparse.Namespace"), ("device", "torch.device")):
        assert type(tree[name]) is Placeholder
        assert tree[name].name == kind
    for name in ("metric", "size", "bytes", "big", "numbers"):
        assert tree[name] == checkpoint[name]
    for name in ("history", "fortran"):
        _, array = leaf_array("test", tree[name])
        np.testing.assert_array_equal(array, checkpoint[name], strict=True)
    check_equal(tree["annotated"], parameter)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(tmp_path: Path, container: str, protocol: int) -> None:
    state = OrderedDict(weight=torch.randn(300, 2), name="é", count=torch.tensor(3))
    path = save(state, tmp_path / "x.pth", FORMATS[container], pickle_protocol=protocol)
    tree = read_file(path).tree
    check_equal(tree["weight"], state["weight"])
    assert tree["name"] == "é"


@pytest.mark.parametrize("name", ["x.safetensors", "x.pth.tar", "x", "x.bin", "x.jpg"])
def test_the_name_says_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    tensor = torch.randn(3)
    for zipped in (True, False):
        save({"w": tensor}, path, zipped)
        check_equal(read_file(path).tree["w"], tensor)
    safetensors.torch.save_file({"w": tensor}, path)
    raw = read_file(str(path))
    assert raw.format == "safetensors"
    check_equal(raw.tree["w"], tensor)


def test_safetensors_agrees_with_the_library(tmp_path: Path) -> None:
    torch.manual_seed(1)
    rng = np.random.default_rng(1)
    kept = [d for d in DTYPES if d not in (torch.complex128,)]
    for case in range(40):
        path = tmp_path / f"{case}.safetensors"
        state = {}
        for i in range(int(rng.integers(1, 12))):
            shape = tuple(int(n) for n in rng.integers(1, 5, int(rng.integers(0, 5))))
            dtype = kept[int(rng.integers(len(kept)))]
            state[f"{'é' * (i % 2)}t{i}"] = (torch.randn(shape) * 30).to(dtype)
        metadata = {"format": "pt", "note": 'quoted "é"\n'} if case % 2 else None
        safetensors.torch.save_file(state, path, metadata)
        raw = read_file(path)
        theirs = safetensors.torch.load_file(path)
        assert raw.tree.keys() == theirs.keys()
        assert raw.metadata == (metadata or {})
        for name, tensor in theirs.items():
            check_equal(raw.tree[name], tensor)


def test_safetensors_agrees_with_the_library_on_damaged_files(tmp_path: Path) -> None:
    # Both accept the same files, and find the same bytes in them.
    rng = np.random.default_rng(2)
    state = {"a.weight": rng.random((2, 3), np.float32), "b": rng.random(4), "n": np.array(3)}
    whole = safetensors.numpy.save(state, {"key": "value"})
    path = tmp_path / "x.safetensors"
    accepted = 0
    for seed in range(1500):
        data = mutate(whole, [whole], random.Random(seed))
        path.write_bytes(data)
        try:
            theirs = dict(safetensors.deserialize(data))
        except safetensors.SafetensorError:
            with pytest.raises(CheckpointError):
                read(path)
            continue
        ours = read_file(path).tree
        assert ours.keys() == theirs.keys()
        for name, found in theirs.items():
            assert ours[name].storage.data == found["data"]
            assert list(ours[name].shape) == found["shape"]
        accepted += 1
    assert accepted > 30


def test_arrays_are_views_of_the_file(tmp_path: Path) -> None:
    state = {"w": torch.randn(64, 64)}
    safetensors.torch.save_file(state, tmp_path / "x.safetensors")
    save(state, tmp_path / "x.pth", True)
    for name in ("x.safetensors", "x.pth"):
        leaf = read_file(tmp_path / name).tree["w"]
        _, array = leaf_array("test", leaf)
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.flags.aligned


def test_a_compressed_archive(tmp_path: Path) -> None:
    state = {"w": torch.randn(50, 50), "n": torch.tensor(7)}
    plain = save(state, tmp_path / "plain.pth", True)
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info), zipfile.ZIP_DEFLATED)
    tree = read_file(packed).tree
    for name, tensor in state.items():
        check_equal(tree[name], tensor)


def test_a_zip64_archive(tmp_path: Path) -> None:
    plain = save({"w": torch.randn(50)}, tmp_path / "plain.pth", True)
    wide = tmp_path / "wide.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(wide, "w") as target:
        for info in source.infolist():
            with target.open(info.filename, "w", force_zip64=True) as entry:
                entry.write(source.read(info))
    check_equal(read_file(wide).tree["w"], torch.load(plain)["w"])


def test_strings_of_python_2(tmp_path: Path) -> None:
    # A legacy stream as Python 2 wrote it: byte strings, OrderedDict from a list of pairs, and a
    # storage that is a view of another.
    name, values = b"weight\xe9", np.arange(10, dtype="<f4")
    storage = b"(U\x07storagectorch\nFloatStorage\nU\x0211U\x03cpuK\x0a(U\x0222K\x04K\x06ttQ"
    claims = b"K\x01K\x02K\x02\x86K\x02K\x01\x86"
    tensor = b"ctorch._utils\n_rebuild_tensor\n(" + storage + claims + b"tR"
    pair = b"](U" + bytes([len(name)]) + name + tensor + b"e"
    tree = b"ccollections\nOrderedDict\n]" + pair + b"a\x85R."
    path = tmp_path / "x.pth"
    path.write_bytes(
        pickle.dumps(0x1950A86A20F9469CFC6C, 2)
        + pickle.dumps(1001, 2)
        + pickle.dumps({"little_endian": True}, 2)
        + b"\x80\x02"
        + tree
        + b"\x80\x02]U\x0211a."
        + struct.pack("<q", 10)
        + values.tobytes()
    )
    _, array = leaf_array("test", read_file(path).tree["weighté"])
    np.testing.assert_array_equal(array, [[5, 6], [7, 8]])


def test_big_endian_archives(tmp_path: Path) -> None:
    plain = save({"w": torch.randn(5), "h": torch.randn(5).bfloat16()}, tmp_path / "a.pth", True)
    swapped = tmp_path / "b.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(swapped, "w") as target:
        for info in source.infolist():
            data = source.read(info)
            if "/data/" in info.filename:
                width = 4 if info.file_size == 20 else 2
                data = np.frombuffer(data, f"<u{width}").byteswap().tobytes()
            elif info.filename.endswith("byteorder"):
                data = b"big"
            target.writestr(info.filename, data)
    theirs, ours = torch.load(plain), read_file(swapped).tree
    for name, tensor in theirs.items():
        check_equal_values(ours[name], tensor)


def check_equal_values(leaf: RawTensor, tensor: torch.Tensor) -> None:
    dtype, array = leaf_array("test", leaf)
    value = widen_bfloat16(array) if dtype == "bfloat16" else array
    np.testing.assert_array_equal(value, tensor.float().numpy())


def test_from_a_buffer_written_by_torch_alone(tmp_path: Path) -> None:
    # torch names the archive's folder "archive" when it writes to a buffer, else after the file.
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(3)}, buffer)
    path = tmp_path / "model.with.dots.pth"
    path.write_bytes(buffer.getvalue())
    check_equal(read_file(path).tree["w"], torch.ones(3))


def test_torch_is_not_imported(tmp_path: Path) -> None:
    path = save({"stage0.weight": torch.ones(3)}, tmp_path / "x.pth", True)
    script = (
        "import sys; from mobileone.checkpoint import read; "
        f"state = read({str(path)!r}).tensors; assert list(state) == ['stage0.weight']; "
        "assert not {'torch', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"):
        read(tmp_path / "absent.pth")
    (tmp_path / "notes.txt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"is a directory.*it holds no weights"):
        read(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match="not a regular file"):
        read("/dev/zero")
    with pytest.raises(CheckpointError, match="is empty"):
        read(tmp_path / "model.safetensors")


@pytest.mark.parametrize("source", [3, None, [np.zeros(3)], b"x.pth"])
def test_other_sources_are_type_errors(source: object) -> None:
    with pytest.raises(TypeError, match="expected a path, a mapping of arrays"):
        read(source)

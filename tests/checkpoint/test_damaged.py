"""Files that lie: every container, damaged in each way that matters."""

from __future__ import annotations

import io
import json
import math
import pickle
import struct
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobileone.checkpoint import CheckpointError, load_state_dict, save_safetensors
from mobileone.checkpoint.containers.file import read_file
from mobileone.checkpoint.containers.safetensors_reader import MAX_HEADER
from mobileone.util.errors import mismatch_error, shown

from .networks import CONFIGS, TINY, tensor_shapes, tensors

STATE = tensors(tensor_shapes(TINY))


def refused(path: Path, data: bytes, message: str | None) -> None:
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_state_dict(path, parameter_shapes=tensor_shapes)
    assert str(path) in str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pth"


def torch_bytes(obj: object, zipped: bool) -> bytes:
    buffer = io.BytesIO()
    torch.save(obj, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def ours(state: dict[str, np.ndarray], path: Path) -> bytes:
    save_safetensors(path, state)
    return path.read_bytes()


def container_bytes(kind: str, path: Path) -> bytes:
    if kind == "safetensors":
        return ours(STATE, path)
    held = {name: torch.from_numpy(array) for name, array in STATE.items()}
    return torch_bytes(held, kind == "zip")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_truncated_anywhere(path: Path, kind: str) -> None:
    data = container_bytes(kind, path)
    ends = {0, 1, 4, 8, 9, len(data) - 1, *np.linspace(10, len(data) - 2, 60).astype(int)}
    for end in sorted(ends):
        refused(path, data[:end], None)


def test_trailing_bytes(path: Path) -> None:
    refused(path, ours(STATE, path) + b"\0", r"tensors take \d+ bytes; \d+ follow the header")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b"\0" * 100, "starts with .* expected .safetensors, .npz, or a file of torch.save"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS pointer"),
        (b"\x1f\x8b" + b"\0" * 100, "gzip"),
        (b"\x89HDF\r\n\x1a\n" + b"\0" * 100, "HDF5"),
        (b"PK\x03\x04" + b"\0" * 100, "damaged zip archive"),
        (pickle.dumps({"w": 1}), "a pickle, but not one that torch.save wrote"),
        (pickle.dumps({"w": np.ones(3)}), "a pickle, but not one that torch.save wrote"),
        (pickle.dumps(type), "a pickle, but not one that torch.save wrote"),
        (pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(7, 2), "unknown version"),
    ],
)
def test_other_files(path: Path, data: bytes, message: str) -> None:
    refused(path, data, message)


def test_other_archives(path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("tensors"), io.BytesIO())
    refused(path, buffer.getvalue(), "tar archive")
    buffer = io.BytesIO()
    np.savez(buffer, w=np.ones(3))
    refused(path, buffer.getvalue(), "no MobileOne or MobileViT")
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as zipped:
        zipped.writestr("notes.txt", "x")
    refused(path, buffer.getvalue(), "0 data.pkl among 1 entries")
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    refused(path, buffer.getvalue(), "NumPy array")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    refused(path, path.read_bytes(), "TorchScript archive, whose code is not run")


# .safetensors


def edited(header: Any, body: bytes = b"\0" * 24) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(dtype: object = "F32", shape: object = (3,), span: object = (0, 12)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": span}


SAFETENSORS = {
    "overlap": ({"a": entry(), "b": entry(span=(8, 20))}, "b at byte 8 overlaps"),
    "same bytes": ({"a": entry(), "b": entry()}, "b at byte 0 overlaps"),
    "gap": ({"a": entry(), "b": entry("F16", (4,), (16, 24))}, "b at byte 16 leaves a gap"),
    "behind the end": ({"a": entry(span=(24, 36))}, "its offsets are 24 to 36 of 24"),
    "backwards": ({"a": entry(span=(12, 0))}, "its offsets are 12 to 0"),
    "negative offset": ({"a": entry(span=(-12, 0))}, "its offsets are -12 to 0"),
    "negative size": ({"a": entry(shape=(-3,))}, "not a list of sizes"),
    "two negative sizes": ({"a": entry(shape=(-1, -3))}, "not a list of sizes"),
    "other size": ({"a": entry(shape=(4,))}, "takes 16 bytes; its offsets are 0 to 12"),
    "huge size": ({"a": entry(shape=(2**62, 2**62))}, "takes .* its offsets are 0 to 12"),
    "huge number": ({"a": entry(shape=(10**30,))}, "an integer of 31 digits"),
    "empty and huge": ({"a": entry(shape=(0, 2**63), span=(0, 0))}, "expected sizes below"),
    "fractional size": ({"a": entry(shape=(3.0,))}, "not a list of sizes"),
    "boolean size": ({"a": entry(shape=(True,))}, "not a list of sizes"),
    "many dimensions": ({"a": entry(shape=(1,) * 100)}, "100 dimensions"),
    "unknown dtype": ({"a": entry("F7")}, "unknown dtype F7"),
    "dtype not text": ({"a": entry(["F32"])}, "unknown dtype"),
    "three offsets": ({"a": entry(span=(0, 12, 24))}, "not a pair"),
    "offsets as text": ({"a": entry(span="ab")}, "not a pair"),
    "entry not an object": ({"a": 3}, "expected an object with dtype"),
    "entry with more": ({"a": entry() | {"x": 1}}, "expected an object with dtype"),
    "list": ([], "expected .safetensors"),
    "number": (b"3", "expected .safetensors"),
    "metadata of numbers": ({"__metadata__": {"a": 1}}, "does not map strings to strings"),
    "metadata not an object": ({"__metadata__": []}, "does not map strings to strings"),
    "a key twice": (b'{"a": {}, "a": {}}', "a key occurs twice"),
    "not JSON": (b"{'a': 1}", "damaged safetensors header"),
    "not UTF-8": (b'{"\xff": 1}', "damaged safetensors header"),
    "NaN": (b'{"a": NaN}', "the constant NaN"),
    "deep": (b'{"a":' + b"[" * 200_000, "damaged safetensors header"),
}


@pytest.mark.parametrize("case", SAFETENSORS)
def test_lying_safetensors(path: Path, case: str) -> None:
    header, message = SAFETENSORS[case]
    refused(path, edited(header), message)


@pytest.mark.parametrize("length", [25, 2**31, 2**63, 2**64 - 1, MAX_HEADER + 1])
def test_huge_header_lengths(path: Path, length: int) -> None:
    refused(path, struct.pack("<Q", length) + b"{" + b" " * 15, f"a header of {length} bytes")


def test_terminal_codes_in_names_are_escaped(path: Path) -> None:
    path.write_bytes(edited({"\x1b[31m\ud800w": entry(span=(1, 13))}))
    with pytest.raises(CheckpointError) as caught:
        read_file(path)
    assert str(caught.value).isprintable()
    assert str(caught.value).isascii()


# torch


class Tensor:
    """Pickles as a tensor on the storage of `real`, with any claims about its shape."""

    def __init__(self, *claims: object) -> None:
        self.claims = claims


def claiming(zipped: bool, offset: object, shape: object, strides: object) -> bytes:
    """A file whose one tensor, on a storage of 12 floats, has these claims."""
    real = torch.arange(12.0)

    class Claim(torch.Tensor):
        def __reduce_ex__(self, protocol: int) -> Any:
            rebuild = torch._utils._rebuild_tensor_v2
            return rebuild, (real.storage(), offset, shape, strides, False, {})

    return torch_bytes({"w": Claim()}, zipped)


CLAIMS = {
    "too long": (0, (13,), (1,), "needs elements up to 13; its storage holds 12"),
    "offset": (1, (12,), (1,), "needs elements up to 13"),
    "far offset": (2**62, (1,), (1,), "its storage holds 12"),
    "stride": (0, (3, 3), (5, 1), "needs elements up to 13"),
    "expanded": (0, (1000, 1000, 1000), (0, 0, 0), "needs elements up to 1000000000"),
    "expanded a little": (0, (2, 12), (0, 1), "needs elements up to 24"),
    "huge": (0, (2**39, 2**39), (1, 1), "its storage holds 12"),
    "negative size": (0, (-3,), (1,), "negative size"),
    "negative stride": (11, (12,), (-1,), "negative size, stride or offset"),
    "negative offset": (-1, (3,), (1,), "negative size"),
    "other ranks": (0, (3, 4), (1,), "2 dimensions and 1 strides"),
    "rank 9": (0, (1,) * 9, (1,) * 9, "9 dimensions"),
    "text": (0, ("3",), (1,), "not a tuple of integers"),
    "float": (0, (3.0,), (1,), "not a tuple of integers"),
    "empty and huge": (0, (0, 2**400), (1, 1), "expected sizes below"),
    "no offset": (None, (3,), (1,), "a tensor without a storage"),
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("case", CLAIMS)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_lying_tensors(path: Path, case: str, zipped: bool) -> None:
    offset, shape, strides, message = CLAIMS[case]
    refused(path, claiming(zipped, offset, shape, strides), message)


def repacked(data: bytes, change: Callable[[str, bytes], bytes | None], **options: Any) -> bytes:
    """The archive with some entries changed; None leaves one out."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as source,
        zipfile.ZipFile(buffer, "w", **options) as new,
    ):
        for info in source.infolist():
            contents = change(info.filename, source.read(info))
            if contents is not None:
                new.writestr(info.filename, contents)
    return buffer.getvalue()


PLAIN = torch_bytes({"w": torch.arange(12.0)}, zipped=True)


def test_a_missing_storage(path: Path) -> None:
    data = repacked(PLAIN, lambda name, contents: None if "/data/" in name else contents)
    refused(path, data, "storage 0 has no entry in the archive")


@pytest.mark.parametrize("size", [0, 47, 49])
def test_a_storage_of_another_size(path: Path, size: int) -> None:
    data = repacked(PLAIN, lambda name, old: bytes(size) if "/data/" in name else old)
    refused(path, data, f"storage 0 has {size} bytes; expected 48 for 12 elements")


def test_an_unknown_byteorder(path: Path) -> None:
    data = repacked(PLAIN, lambda name, old: b"middle" if "byteorder" in name else old)
    refused(path, data, "expected little or big")


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_entries_of_one_name(path: Path) -> None:
    path.write_bytes(PLAIN)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/data/0", bytes(48))
    refused(path, path.read_bytes(), "two entries named archive/data/0")


def test_two_pickles(path: Path) -> None:
    path.write_bytes(PLAIN)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", b"")
    refused(path, path.read_bytes(), "2 data.pkl among")


def directory(data: bytes, name: bytes) -> int:
    """Where the archive's directory describes the entry."""
    return data.rindex(b"PK\x01\x02", 0, data.rindex(name))


@pytest.mark.parametrize(
    ("field", "layout", "value", "message"),
    [
        (8, "<H", 1, "is encrypted"),
        (10, "<H", 14, "compression method 14"),
        (10, "<H", 8, "is damaged|does not unpack"),
        (20, "<I", 24, "declares two sizes"),
        (24, "<I", 2**31, "declares two sizes"),
        (20, "<I", 2**31, "an entry ends behind the file"),
        (42, "<I", 2**31, "an entry ends behind the file"),
        (42, "<I", 1, "overlap|no header"),
        (46, "<B", 0x58, "storage 0 has no entry|another name"),
    ],
)
def test_a_lying_directory(path: Path, field: int, layout: str, value: int, message: str) -> None:
    data = bytearray(PLAIN)
    struct.pack_into(layout, data, directory(PLAIN, b"archive/data/0") + field, value)
    refused(path, bytes(data), message)


def test_a_zip_bomb(path: Path) -> None:
    # 100 MB of zeros in 100 kB.
    bomb = repacked(
        PLAIN,
        lambda name, old: bytes(100_000_000) if "/data/" in name else old,
        compression=zipfile.ZIP_DEFLATED,
    )
    assert len(bomb) < 200_000
    start = time.monotonic()
    refused(path, bomb, "declares 100000000 bytes: .* more than 4 times its size")
    assert time.monotonic() - start < 1


def test_a_zip_bomb_that_declares_little(path: Path) -> None:
    def inflated(name: str, old: bytes) -> bytes:
        return bytes(100_000_000) if "/data/" in name else old

    bomb = bytearray(repacked(PLAIN, inflated, compression=zipfile.ZIP_DEFLATED))
    struct.pack_into("<I", bomb, directory(bytes(bomb), b"archive/data/0") + 24, 48)
    refused(path, bytes(bomb), "does not unpack to the 48 bytes declared")


def legacy(**changes: object) -> bytes:
    """A legacy stream with the list of storages or the count of elements changed."""
    data = torch_bytes({"w": torch.arange(12.0)}, zipped=False)
    reader = io.BytesIO(data)
    for _ in range(3):
        pickle.load(reader)

    class Skip(pickle.Unpickler):
        def persistent_load(self, identity: tuple[Any, ...]) -> Any:
            self.identity = identity
            return identity

        def find_class(self, module: str, name: str) -> Any:
            return lambda *arguments: arguments

    unpickler = Skip(reader)
    unpickler.load()
    at = reader.tell()
    keys = pickle.load(reader)
    body = data[reader.tell() + 8 :]
    keys = changes.get("keys", keys)
    count = struct.pack("<q", changes.get("count", 12))
    return data[:at] + pickle.dumps(keys, 2) + count + body


@pytest.mark.parametrize("count", [-1, 0, 11, 13, 2**60, -(2**63)])
def test_lying_counts_in_legacy_streams(path: Path, count: int) -> None:
    read_file_of(path, legacy())
    refused(path, legacy(count=count), f"has {count} elements; expected 12")


def read_file_of(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert read_file(path).tree["w"].shape == (12,)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (["unknown"], "storage unknown belongs to no tensor"),
        ([3], "not a list of names"),
        ({"a": 1}, "not a list of names"),
        (None, "not a list of names"),
    ],
)
def test_lying_storage_lists_in_legacy_streams(path: Path, keys: object, message: str) -> None:
    refused(path, legacy(keys=keys), message)


def test_memory_of_conversions_is_bounded(path: Path) -> None:
    # All weights of S4 are half-precision views of one storage; each would become a copy.
    shapes = tensor_shapes(CONFIGS["mobileone_s4"])
    shared = torch.zeros(max(math.prod(shape) for shape in shapes.values()), dtype=torch.float16)
    state = {name: shared[: math.prod(shape)].view(shape) for name, shape in shapes.items()}
    refused(path, torch_bytes(state, zipped=True), "would take more than .* several times the size")


def test_a_storage_that_is_not_in_the_file(path: Path) -> None:
    state = {name: torch.from_numpy(array) for name, array in STATE.items()}
    data = torch_bytes(state, zipped=False)
    keys = data.rindex(b"\x80\x02]q\x00(")
    end = data.index(b"e.", keys) + 2
    refused(path, data[:keys] + pickle.dumps([], 2) + data[end:], "storage .* has no data")


def test_names_that_describe_a_huge_network(path: Path) -> None:
    stray = {"stage3.500.rbr_conv.200.conv.weight": np.ones((20, 20, 1, 1), np.float32)}
    refused(path, ours(STATE | stray, path), "names speak of .* convolutions")


def test_messages() -> None:
    assert shown("a\nb\x1b") == "a\\nb\\x1b"
    assert len(shown("x" * 10_000)) < 200
    assert shown(12) == "12"
    assert "nearest is nothing, but 0" not in str(mismatch_error("x", "nothing", []))

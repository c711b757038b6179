"""Writing weights as archives for other programs: NumPy's .npz, and what torch.load reads."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.archives import METADATA
from mobileone.checkpoint.containers.safetensors_writer import little_endian_bytes
from mobileone.checkpoint.containers.tensors import contiguous_strides
from mobileone.util.errors import shown
from mobileone.util.files import whole_file

State = Mapping[str, npt.NDArray[Any]]

_ALIGNMENT = 64
# Of the extra field that moves an entry's bytes to a multiple of the alignment: an id that no
# program gives a meaning to, and a length.
_PADDING = struct.Struct("<2sH")
_PADDING_ID = b"M1"
_HEADER_BYTES = 30
_DATE = (1980, 1, 1, 0, 0, 0)  # the same weights make the same file
_STORAGES = {"float64": "Double", "float32": "Float", "float16": "Half", "int64": "Long",
             "int32": "Int", "int16": "Short", "int8": "Char", "uint8": "Byte",
             "bool": "Bool"}  # fmt: skip


def save_npz(
    path: str | os.PathLike[str], state: State, metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays by name as a .npz archive, which `numpy.load` reads.

    The file appears under its name only when it is complete. Metadata are one entry more, of text.

    Args:
        path: where to; an existing file is replaced.
        state: name -> array of numbers.
        metadata: strings to travel with the arrays.
    """
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        for name, array in state.items():
            header = io.BytesIO()
            plain = array.dtype.newbyteorder("<")
            np.lib.format.write_array_header_1_0(
                header,
                {"descr": plain.str, "fortran_order": False, "shape": array.shape},
            )
            _add(archive, file, f"{name}.npy", header.getvalue(), little_endian_bytes(array))
        if metadata:
            _add(archive, file, METADATA, json.dumps(dict(metadata)).encode())


def save_torch(
    path: str | os.PathLike[str], state: State, metadata: Mapping[str, str] | None = None
) -> None:
    """Write arrays as the archive that `torch.save` makes of an OrderedDict of tensors.

    ``torch.load(path, weights_only=True)`` reads it: one pickle of tensors, nothing to run. The
    file appears under its name only when it is complete. Metadata are one entry more, which torch
    does not look at.

    Args:
        path: where to; an existing file is replaced.
        state: name -> array of a dtype that torch has a storage for.
        metadata: strings to travel with the tensors.

    Raises:
        ValueError: an array of another dtype.
    """
    pickle = [b"\x80\x02ccollections\nOrderedDict\n)R("]
    for index, (name, array) in enumerate(state.items()):
        pickle += [_text(name), _tensor(name, str(index), array)]
    pickle.append(b"u.")
    with whole_file(path) as file, zipfile.ZipFile(file, "w") as archive:
        _add(archive, file, "archive/data.pkl", b"".join(pickle))
        _add(archive, file, "archive/byteorder", b"little")
        for index, array in enumerate(state.values()):
            _add(archive, file, f"archive/data/{index}", little_endian_bytes(array))
        _add(archive, file, "archive/version", b"3\n")
        if metadata:
            _add(archive, file, f"archive/{METADATA}", json.dumps(dict(metadata)).encode())


def _add(archive: zipfile.ZipFile, file: BinaryIO, name: str, *parts: bytes | memoryview) -> None:
    """An uncompressed entry, whose bytes begin at a multiple of the alignment."""
    info = zipfile.ZipInfo(name, _DATE)
    info.file_size = sum(len(part) for part in parts)
    start = file.tell() + _HEADER_BYTES + len(name.encode()) + _PADDING.size
    fill = -start % _ALIGNMENT
    info.extra = _PADDING.pack(_PADDING_ID, fill) + bytes(fill)
    with archive.open(info, "w") as entry:
        for part in parts:
            entry.write(part)


def _tensor(name: str, key: str, array: npt.NDArray[Any]) -> bytes:
    """The opcodes that make a tensor: a call with its storage, offset, shape and strides."""
    kind = _STORAGES.get(array.dtype.name)
    if kind is None:
        raise ValueError(f"{shown(name)}: dtype {array.dtype} cannot be saved for torch")
    storage = (
        b"(" + _text("storage") + f"ctorch\n{kind}Storage\n".encode() + _text(key) + _text("cpu")
        + _integer(array.size) + b"tQ"
    )  # fmt: skip
    shape, strides = _integers(array.shape), _integers(contiguous_strides(array.shape))
    return (
        b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00" + shape + strides
        + b"\x89ccollections\nOrderedDict\n)RtR"
    )  # fmt: skip


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"X" + struct.pack("<I", len(raw)) + raw


def _integer(value: int) -> bytes:
    return (
        b"J" + struct.pack("<i", value) if value < 2**31 else b"\x8a\x08" + struct.pack("<q", value)
    )


def _integers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_integer, values)) + b"t" if values else b")"

"""NumPy's .npz archives: one .npy entry per array, nothing of which is unpickled."""

from __future__ import annotations

import re
import struct

from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.checkpoint.containers.tensors import (
    DTYPES,
    RawTensor,
    Storage,
    contiguous_strides,
)
from mobileone.checkpoint.containers.zip_archive import ZipArchive
from mobileone.util.errors import CheckpointError, shown

MAGIC = b"\x93NUMPY"
SUFFIX = ".npy"
# Of the header; NumPy pads it to a multiple of 64 bytes, and refuses more than this itself.
_MAX_HEADER = 10_000
_HEADER = re.compile(
    r"\{'descr': (?:'([<>|=]?)([a-zA-Z][0-9]*)'|(.+?)), 'fortran_order': (False|True), "
    r"'shape': \(((?:[0-9]+, ?)*[0-9]*)\), ?\}\s*",
    re.ASCII | re.DOTALL,
)
# NumPy's type codes of the dtypes that it has.
_CODES = {
    code: name
    for name, (code, _) in DTYPES.items()
    if name not in ("bfloat16", "complex32") and not name.startswith("float8")
}


def is_npz(archive: ZipArchive) -> bool:
    """Whether an archive's entries are arrays, as numpy.savez writes them, and our metadata."""
    names = archive.names
    return (
        bool(names)
        and sum(not name.endswith(SUFFIX) for name in names) <= 1
        and (any(name.endswith(SUFFIX) for name in names))
    )


def read_npz(archive: ZipArchive) -> dict[str, RawTensor | Placeholder]:
    """Arrays by name as views of the mapped file; those of objects are placeholders.

    Raises:
        CheckpointError: a damaged entry, or an array whose size is not that of its data.
    """
    arrays = {}
    for entry in archive.names:
        if entry.endswith(SUFFIX):
            name = entry[: -len(SUFFIX)]
            arrays[name] = _array(archive, entry, f"{archive.where}: {shown(name)}")
    return arrays


def _array(archive: ZipArchive, entry: str, where: str) -> RawTensor | Placeholder:
    data = archive.read(entry)
    assert data is not None  # its name is in the archive
    header, start = _header(data, where)
    found = _HEADER.fullmatch(header)
    if found is None:
        raise CheckpointError(f"{where}: damaged .npy header {shown(header)}")
    order, code, other, fortran, extents = found.groups()
    dtype = _CODES.get(code)
    if other is not None or dtype is None:
        return Placeholder(f"an array of dtype {code or 'of several fields'}")
    if any(len(digits) > 18 for digits in re.findall(r"[0-9]+", extents)):
        raise CheckpointError(f"{where}: shape ({shown(extents)}); expected sizes below 2**40")
    shape = tuple(int(digits) for digits in re.findall(r"[0-9]+", extents))
    strides = contiguous_strides(shape[::-1])[::-1] if fortran == "True" else None
    body = data[start:]
    storage = Storage(entry, len(body), body, ">" if order == ">" else "<")
    tensor = RawTensor(storage, dtype, shape, strides or contiguous_strides(shape))
    tensor.check(where)
    needed = DTYPES[dtype][1]
    for extent in shape:
        needed *= extent
    if needed != len(body):
        raise CheckpointError(
            f"{where}: {dtype} of shape {shape} takes {needed} bytes, not {len(body)}"
        )
    return tensor


def _header(data: memoryview, where: str) -> tuple[str, int]:
    """The text that describes the array, and where its elements begin."""
    start = len(MAGIC) + 2
    layout = struct.Struct("<H" if data[6:7].tobytes() == b"\x01" else "<I")
    if bytes(data[: len(MAGIC)]) != MAGIC or len(data) < start + layout.size:
        raise CheckpointError(f"{where}: does not begin as a .npy array does")
    length = layout.unpack(data[start : start + layout.size])[0]
    start += layout.size
    if length > _MAX_HEADER or start + length > len(data):
        raise CheckpointError(f"{where}: a .npy header of {length} bytes in {len(data)}")
    return str(data[start : start + length], "latin-1"), start + length

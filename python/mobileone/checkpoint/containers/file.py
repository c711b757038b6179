"""Opening a checkpoint file: its format is found from its bytes, never from its name."""

from __future__ import annotations

import mmap
import os
import stat
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Any, NamedTuple

from mobileone.checkpoint.containers.safetensors_reader import (
    looks_like_safetensors,
    read_safetensors,
)
from mobileone.util.errors import CheckpointError

_ZIP_MAGIC = b"PK\x03\x04"


class RawCheckpoint(NamedTuple):
    """What a container holds, nothing interpreted.

    Attributes:
        tree: dicts, lists and atoms with RawTensor leaves (views of the mapped file).
        source: file name or description of the object, for messages.
        format: "safetensors", "torch zip", "torch legacy", "mapping" or "module".
        nbytes: size of the file, or of the arrays.
        metadata: the strings that .safetensors carries.
        mapping: the mapped file.
        told: what a module says of its configuration that weights do not show.
        module: the torch.nn.Module, if it is one.
    """

    tree: object
    source: str
    format: str
    nbytes: int
    metadata: dict[str, str]
    mapping: mmap.mmap | None = None
    told: Mapping[str, Any] = MappingProxyType({})
    module: Any = None

    def release(self) -> None:
        """Gives back the memory of file pages that were read; they are read again when needed."""
        if self.mapping is not None:
            self.mapping.madvise(mmap.MADV_DONTNEED)


def read_file(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Maps a checkpoint file and reads its structure; tensors stay in the file until used.

    The mapping lives as long as an array that looks into it. Replacing the file (as
    ``save_safetensors`` does) is safe meanwhile; truncating it in place is not.

    Raises:
        FileNotFoundError, PermissionError: as ``open`` does.
        CheckpointError: not a regular file, or not a checkpoint.
    """
    where = os.fsdecode(path)
    mode = os.stat(where).st_mode
    if stat.S_ISDIR(mode):
        from pathlib import Path

        held = sorted(p.name for p in Path(where).iterdir() if p.suffix in _SUFFIXES)
        advice = f"; it holds {', '.join(held[:3])}" if held else ""
        raise CheckpointError(f"{where}: is a directory; expected a checkpoint file{advice}")
    if not stat.S_ISREG(mode):
        raise CheckpointError(f"{where}: is not a regular file")
    with open(where, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size == 0:
            raise CheckpointError(f"{where}: is empty")
        mapping = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)
        raw = _read(file, memoryview(mapping), where)
    return raw._replace(mapping=mapping)


def _read(file: IO[bytes], data: memoryview, where: str) -> RawCheckpoint:
    head = bytes(data[:16])
    # The readers of torch's files are imported for those only: they take milliseconds.
    if head.startswith(_ZIP_MAGIC):
        from mobileone.checkpoint.containers.torch_zip import read_torch_zip

        tree = read_torch_zip(file, data, where)
        return RawCheckpoint(tree, where, "torch zip", len(data), {})
    if looks_like_safetensors(head):
        tensors, metadata = read_safetensors(data, where)
        return RawCheckpoint(tensors, where, "safetensors", len(data), metadata)
    if starts_pickle(head):
        from mobileone.checkpoint.containers.torch_legacy import read_torch_legacy

        return RawCheckpoint(read_torch_legacy(data, where), where, "torch legacy", len(data), {})
    raise CheckpointError(
        f"{where}: starts with {head!r}; expected .safetensors, or a file of torch.save "
        f"(zip or legacy stream){_known_magic(data)}"
    )


def starts_pickle(head: bytes) -> bool:
    """Whether a file's first bytes are a pickle of protocol 2 to 5."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5


def _known_magic(data: memoryview) -> str:
    for offset, magic, name in _OTHERS:
        if bytes(data[offset : offset + len(magic)]) == magic:
            return f". This looks like {name}"
    return ""


_SUFFIXES = {".safetensors", ".pth", ".pt", ".bin", ".tar"}
_OTHERS = (
    (257, b"ustar", "a tar archive (torch before 0.2 wrote those)"),
    (0, b"\x1f\x8b", "a gzip file: unpack it first"),
    (0, b"\x89HDF", "an HDF5 file"),
    (0, b"\x93NUMPY", "a NumPy array"),
    (0, b"<", "a web page: was the download redirected?"),
    (0, b"version https://git-lfs", "a Git LFS pointer: fetch the file itself"),
)

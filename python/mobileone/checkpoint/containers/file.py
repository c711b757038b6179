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
from mobileone.util.errors import CheckpointError, shown

_ZIP_MAGIC = b"PK\x03\x04"


class RawCheckpoint(NamedTuple):
    """What a container holds, nothing interpreted.

    Attributes:
        tree: dicts, lists and atoms with RawTensor leaves (views of the mapped file).
        source: file name or description of the object, for messages.
        format: "safetensors", "torch zip", "torch legacy", "npz", of several files
            "safetensors shards" and the like; "mapping" or "module".
        nbytes: size of the files, or of the arrays.
        metadata: the strings that .safetensors carries, and archives of this package.
        mappings: the mapped files.
        told: what a module says of its configuration that weights do not show.
        module: the torch.nn.Module, if it is one.
    """

    tree: object
    source: str
    format: str
    nbytes: int
    metadata: dict[str, str]
    mappings: tuple[mmap.mmap, ...] = ()
    told: Mapping[str, Any] = MappingProxyType({})
    module: Any = None

    def release(self) -> None:
        """Gives back the memory of file pages that were read; they are read again when needed."""
        for mapping in self.mappings:
            mapping.madvise(mmap.MADV_DONTNEED)


def own_metadata(metadata: Mapping[str, str]) -> Mapping[str, str]:
    """The strings that came with a source, if this package wrote them; else none."""
    return metadata if metadata.get("format") == "mobileone" else {}


def read_file(path: str | os.PathLike[str]) -> RawCheckpoint:
    """Maps a checkpoint file and reads its structure; tensors stay in the file until used.

    A folder stands for the weights in it, an index of weights (``*.index.json``) for its files.
    The mapping lives as long as an array that looks into it. Replacing the file (as
    ``save_safetensors`` does) is safe meanwhile; truncating it in place is not.

    Raises:
        FileNotFoundError, PermissionError: as ``open`` does.
        CheckpointError: not a regular file or a folder of them, or not a checkpoint.
    """
    where = os.fsdecode(path)
    if stat.S_ISDIR(os.stat(where).st_mode):
        from mobileone.checkpoint.containers.folder import weights_of_folder

        where = weights_of_folder(where)
    return _read_shards(where) if where.endswith(".index.json") else _read_one(where)


def _read_one(where: str) -> RawCheckpoint:
    with open_regular(where) as file:
        mapping = _mapped(file, where)
        raw = _read(file, memoryview(mapping), where)
    return raw._replace(mappings=(mapping,))


def open_regular(where: str) -> IO[bytes]:
    """The open file; CheckpointError for what is no regular file, without waiting for a FIFO."""
    if not stat.S_ISREG(os.stat(where).st_mode):
        raise CheckpointError(f"{where}: is not a regular file")
    return open(where, "rb")


def _mapped(file: IO[bytes], where: str) -> mmap.mmap:
    size = os.fstat(file.fileno()).st_size
    if size == 0:
        raise CheckpointError(f"{where}: is empty")
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _read_shards(where: str) -> RawCheckpoint:
    from mobileone.checkpoint.containers.folder import picked, read_index

    with open_regular(where) as file:
        files = read_index(memoryview(_mapped(file, where)), where)
    tree: dict[str, Any] = {}
    shards = []
    for name, tensors in files.items():
        path = os.path.join(os.path.dirname(where), name)
        try:
            shards.append(_read_one(path))
        except FileNotFoundError as error:
            raise CheckpointError(
                f"{where}: lists {shown(name)}, which is not beside it"
            ) from error
        tree |= picked(shards[-1].tree, tensors, name, where)
    formats = " and ".join(sorted({shard.format for shard in shards}))
    metadata = shards[0].metadata if len(shards) == 1 else {}
    mappings = tuple(mapping for shard in shards for mapping in shard.mappings)
    nbytes = sum(shard.nbytes for shard in shards)
    return RawCheckpoint(tree, where, f"{formats} shards", nbytes, metadata, mappings)


def _read(file: IO[bytes], data: memoryview, where: str) -> RawCheckpoint:
    head = bytes(data[:16])
    # The readers of archives and pickles are imported for those only: they take milliseconds.
    if head.startswith(_ZIP_MAGIC):
        from mobileone.checkpoint.containers.archives import read_archive

        tree, format, metadata = read_archive(file, data, where)
        return RawCheckpoint(tree, where, format, len(data), metadata)
    if looks_like_safetensors(head):
        tensors, metadata = read_safetensors(data, where)
        return RawCheckpoint(tensors, where, "safetensors", len(data), metadata)
    if starts_pickle(head):
        from mobileone.checkpoint.containers.torch_legacy import read_torch_legacy

        return RawCheckpoint(read_torch_legacy(data, where), where, "torch legacy", len(data), {})
    from mobileone.checkpoint.containers.foreign import foreign_file

    name = foreign_file(data)
    raise CheckpointError(
        f"{where}: this is {name}"
        if name
        else f"{where}: starts with {head!r}; expected .safetensors, .npz, or a file of torch.save "
        "(zip or legacy stream)"
    )


def starts_pickle(head: bytes) -> bool:
    """Whether a file's first bytes are a pickle of protocol 2 to 5."""
    return len(head) > 1 and head[0] == 0x80 and 2 <= head[1] <= 5

"""The stream that torch.save wrote before 1.6: five pickles, then the storages in sequence."""

from __future__ import annotations

import struct

from mobileone.checkpoint.containers.pickle_globals import TypedStorage, finder, storage_size
from mobileone.checkpoint.containers.tensors import DTYPES, Storage
from mobileone.checkpoint.containers.unpickler import Unpickler
from mobileone.util.errors import CheckpointError, shown

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001
_NUMEL = struct.Struct("<q")


class _Storages:
    """Storages by key, each with the bytes per element that its count in the file refers to."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.by_key: dict[str, tuple[Storage, int]] = {}

    def persistent_load(self, identity: object) -> object:
        if type(identity) is tuple and len(identity) == 4 and identity[0] == "module":
            return identity[1]  # a class, with its source text
        if type(identity) is not tuple or len(identity) != 6 or identity[0] != "storage":
            raise CheckpointError(f"{self.where}: an unknown persistent id; expected a storage")
        _, kind, key, _, numel, view = identity
        dtype, nbytes = storage_size(self.where, kind, numel)
        if type(key) is not str:
            raise CheckpointError(f"{self.where}: a storage whose key is not a string")
        itemsize = 1 if dtype is None else DTYPES[dtype][1]
        storage, known = self.by_key.setdefault(key, (Storage(key, nbytes), itemsize))
        if (storage.nbytes, known) != (nbytes, itemsize):
            raise CheckpointError(f"{self.where}: storage {shown(key)} is declared with two sizes")
        start = 0
        if view is not None:
            if type(view) is not tuple or [type(n) for n in view[1:]] != [int, int]:
                raise CheckpointError(f"{self.where}: storage {shown(key)} has an unknown view")
            start, numel = view[1:]
            if start < 0 or numel < 0 or (start + numel) * itemsize > nbytes:
                raise CheckpointError(
                    f"{self.where}: a view of storage {shown(key)} covers elements {start} to "
                    f"{start + numel}; it has {nbytes // itemsize}"
                )
        return TypedStorage(storage, dtype, start, numel)

    def locate(self, data: memoryview, position: int, keys: object) -> None:
        """Points each storage at its bytes: a count of elements, then the elements."""
        if type(keys) is not list or any(type(key) is not str for key in keys):
            raise CheckpointError(f"{self.where}: the list of storages is not a list of names")
        if len(set(keys)) != len(keys):
            raise CheckpointError(f"{self.where}: the list of storages names one twice")
        for key in keys:
            if key not in self.by_key:
                raise CheckpointError(f"{self.where}: storage {shown(key)} belongs to no tensor")
            storage, itemsize = self.by_key[key]
            start = position + _NUMEL.size
            if start > len(data):
                raise CheckpointError(f"{self.where}: truncated before storage {shown(key)}")
            numel = _NUMEL.unpack(data[position:start])[0]
            if numel * itemsize != storage.nbytes:
                raise CheckpointError(
                    f"{self.where}: storage {shown(key)} has {numel} elements; "
                    f"expected {storage.nbytes // itemsize}"
                )
            position = start + storage.nbytes
            if position > len(data):
                raise CheckpointError(
                    f"{self.where}: truncated in storage {shown(key)}: {storage.nbytes} bytes at "
                    f"byte {start} of {len(data)}"
                )
            storage.data = data[start:position]


def read_torch_legacy(data: memoryview, where: str) -> object:
    """The object that torch.save was given; tensors are views of the mapped file.

    Raises:
        CheckpointError: not such a stream, damaged, or asking for code.
    """
    storages = _Storages(where)
    reader = Unpickler(data, where, finder(), storages.persistent_load)
    try:
        magic = reader.load()
    except CheckpointError as error:
        raise CheckpointError(f"{where}: a pickle, but not one of torch.save ({error})") from error
    if magic != MAGIC_NUMBER or type(magic) is not int:
        raise CheckpointError(f"{where}: a pickle, but not one that torch.save wrote")
    version = reader.load()
    if version != PROTOCOL_VERSION:
        raise CheckpointError(f"{where}: an unknown version of torch's stream; expected 1001")
    system = reader.load()
    little = system.get("little_endian", True) if type(system) is dict else True
    tree = reader.load()
    keys = reader.load()
    if little is not True:
        raise CheckpointError(f"{where}: written on a big-endian machine, which is not supported")
    storages.locate(data, reader.position, keys)
    return tree

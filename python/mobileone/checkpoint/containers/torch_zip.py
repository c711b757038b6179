"""The zip archives that torch.save writes since 1.6: one pickle, one entry per storage."""

from __future__ import annotations

from mobileone.checkpoint.containers.pickle_globals import TypedStorage, finder, storage_size
from mobileone.checkpoint.containers.tensors import Storage
from mobileone.checkpoint.containers.unpickler import Unpickler
from mobileone.checkpoint.containers.zip_archive import ZipArchive
from mobileone.util.errors import CheckpointError, shown


def torch_prefix(archive: ZipArchive) -> str | None:
    """What the names of a torch archive's entries begin with; None for another archive.

    Raises:
        CheckpointError: more than one pickle, or TorchScript.
    """
    names = archive.names
    pickles = [n for n in names if n == "data.pkl" or n.endswith("/data.pkl")]
    if not pickles:
        return None
    if len(pickles) != 1 or pickles[0].count("/") > 1:
        raise CheckpointError(
            f"{archive.where}: a zip archive with {len(pickles)} data.pkl among "
            f"{len(names)} entries; expected one, as torch.save writes it"
        )
    prefix = pickles[0][: -len("data.pkl")]
    if f"{prefix}constants.pkl" in names:
        raise CheckpointError(
            f"{archive.where}: a TorchScript archive, whose code is not run; expected a state "
            "dict: torch.save(module.state_dict(), path)"
        )
    return prefix


def read_torch_zip(archive: ZipArchive, prefix: str) -> object:
    """The object that torch.save was given; tensors are views of the mapped file.

    A storage is compared with its CRC-32 when it is first used.

    Args:
        archive: what torch.save wrote.
        prefix: see `torch_prefix`.

    Raises:
        CheckpointError: damaged, or a tensor that does not fit its storage.
    """
    where = archive.where
    order = bytes(archive.read(f"{prefix}byteorder") or b"little").strip()
    if order not in (b"little", b"big"):
        raise CheckpointError(f"{where}: byteorder {shown(repr(order))}; expected little or big")
    byteorder = "<" if order == b"little" else ">"
    entries = set(archive.names)
    storages: dict[str, Storage] = {}

    def persistent_load(identity: object) -> TypedStorage:
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise CheckpointError(f"{where}: an unknown persistent id; expected a storage")
        _, kind, key, _, numel = identity
        dtype, nbytes = storage_size(where, kind, numel)
        if type(key) is not str:
            raise CheckpointError(f"{where}: a storage whose key is not a string")
        if key not in storages:
            name = f"{prefix}data/{key}"
            if name not in entries:
                raise CheckpointError(f"{where}: storage {shown(key)} has no entry in the archive")
            entry = archive.view(name)
            storages[key] = Storage(key, len(entry), entry, byteorder, archive.crc(name))
        if storages[key].nbytes != nbytes:
            raise CheckpointError(
                f"{where}: storage {shown(key)} has {storages[key].nbytes} bytes; "
                f"expected {nbytes} for {numel} elements"
            )
        return TypedStorage(storages[key], dtype, 0, numel)

    pickle = archive.read(f"{prefix}data.pkl")
    assert pickle is not None  # its name chose the prefix
    return Unpickler(pickle, where, finder(), persistent_load).load()

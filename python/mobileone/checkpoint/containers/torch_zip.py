"""The zip archives that torch.save writes since 1.6: one pickle, one entry per storage."""

from __future__ import annotations

import itertools
import struct
import zipfile
import zlib
from typing import IO

from mobileone.checkpoint.containers.pickle_globals import TypedStorage, finder, storage_size
from mobileone.checkpoint.containers.tensors import Storage
from mobileone.checkpoint.containers.unpickler import Unpickler
from mobileone.util.errors import CheckpointError, shown

_LOCAL_MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
# torch stores entries uncompressed. Other tools compress; trained weights shrink by a tenth.
MAX_EXPANSION = 4


class _Archive:
    """Entries of the archive as views of the mapped file."""

    def __init__(self, file: IO[bytes], data: memoryview, where: str) -> None:
        self.where = where
        self._data = data
        self._budget = MAX_EXPANSION * len(data)
        try:
            infos = zipfile.ZipFile(file).infolist()
        except (zipfile.BadZipFile, struct.error, UnicodeDecodeError, NotImplementedError,
                OverflowError, EOFError, ValueError, OSError) as error:  # fmt: skip
            raise CheckpointError(f"{where}: damaged zip archive: {error}") from error
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for info in infos:
            if info.filename in self._entries:
                raise CheckpointError(f"{where}: two entries named {shown(info.filename)}")
            self._entries[info.filename] = info
        self._check_overlap()
        pickles = [n for n in self._entries if n == "data.pkl" or n.endswith("/data.pkl")]
        if len(pickles) != 1 or pickles[0].count("/") > 1:
            raise CheckpointError(
                f"{where}: a zip archive with {len(pickles)} data.pkl among "
                f"{len(self._entries)} entries; expected one, as torch.save writes it"
            )
        self._prefix = pickles[0][: -len("data.pkl")]
        if f"{self._prefix}constants.pkl" in self._entries:
            raise CheckpointError(
                f"{where}: a TorchScript archive, whose code is not run; expected a state dict: "
                "torch.save(module.state_dict(), path)"
            )

    def _check_overlap(self) -> None:
        ends = sorted(
            (info.header_offset, info.header_offset + _LOCAL_HEADER.size + info.compress_size)
            for info in self._entries.values()
        )
        if ends and (ends[0][0] < 0 or max(end for _, end in ends) > len(self._data)):
            raise CheckpointError(f"{self.where}: truncated: an entry ends behind the file")
        for (_, end), (start, _) in itertools.pairwise(ends):
            if end > start:
                raise CheckpointError(f"{self.where}: entries overlap at byte {start}")

    def read(self, name: str) -> memoryview | None:
        """The contents of an entry; None when there is none of that name."""
        info = self._entries.get(self._prefix + name)
        if info is None:
            return None
        where = f"{self.where}: entry {shown(info.filename)}"
        start = info.header_offset
        header = bytes(self._data[start : start + _LOCAL_HEADER.size])
        if len(header) < _LOCAL_HEADER.size or not header.startswith(_LOCAL_MAGIC):
            raise CheckpointError(f"{where} has no header at byte {start}")
        *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
        start += _LOCAL_HEADER.size
        if bytes(self._data[start : start + name_length]) != info.orig_filename.encode(
            "utf-8" if info.flag_bits & 0x800 else "cp437", "replace"
        ):
            raise CheckpointError(f"{where} has another name in its own header")
        start += name_length + extra_length
        packed = self._data[start : start + info.compress_size]
        if len(packed) != info.compress_size:
            raise CheckpointError(f"{where} is truncated")
        if info.flag_bits & _ENCRYPTED:
            raise CheckpointError(f"{where} is encrypted")
        if info.compress_type == zipfile.ZIP_STORED:
            if info.file_size != info.compress_size:
                raise CheckpointError(f"{where} is stored, but declares two sizes")
            return packed
        return self._inflate(where, info, packed)

    def _inflate(self, where: str, info: zipfile.ZipInfo, packed: memoryview) -> memoryview:
        if info.compress_type != zipfile.ZIP_DEFLATED:
            raise CheckpointError(f"{where} has compression method {info.compress_type}")
        self._budget -= info.file_size
        if self._budget < 0:
            raise CheckpointError(
                f"{where} declares {info.file_size} bytes: the archive would unpack to more than "
                f"{MAX_EXPANSION} times its size"
            )
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One byte more than declared shows a stream that does not stop there.
            unpacked = inflater.decompress(packed, info.file_size + 1)
        except zlib.error as error:
            raise CheckpointError(f"{where} is damaged: {error}") from error
        if len(unpacked) != info.file_size or not inflater.eof:
            raise CheckpointError(f"{where} does not unpack to the {info.file_size} bytes declared")
        return memoryview(unpacked)


def read_torch_zip(file: IO[bytes], data: memoryview, where: str) -> object:
    """The object that torch.save was given; tensors are views of the mapped file.

    Args:
        file: the open file, for its directory.
        data: the same file, mapped.
        where: its name, for messages.

    Raises:
        CheckpointError: not an archive of torch.save, damaged, or asking for code.
    """
    archive = _Archive(file, data, where)
    order = bytes(archive.read("byteorder") or b"little").strip()
    if order not in (b"little", b"big"):
        raise CheckpointError(f"{where}: byteorder {shown(repr(order))}; expected little or big")
    byteorder = "<" if order == b"little" else ">"
    storages: dict[str, Storage] = {}

    def persistent_load(identity: object) -> TypedStorage:
        if type(identity) is not tuple or len(identity) != 5 or identity[0] != "storage":
            raise CheckpointError(f"{where}: an unknown persistent id; expected a storage")
        _, kind, key, _, numel = identity
        dtype, nbytes = storage_size(where, kind, numel)
        if type(key) is not str:
            raise CheckpointError(f"{where}: a storage whose key is not a string")
        if key not in storages:
            entry = archive.read(f"data/{key}")
            if entry is None:
                raise CheckpointError(f"{where}: storage {shown(key)} has no entry in the archive")
            storages[key] = Storage(key, len(entry), entry, byteorder)
        if storages[key].nbytes != nbytes:
            raise CheckpointError(
                f"{where}: storage {shown(key)} has {storages[key].nbytes} bytes; "
                f"expected {nbytes} for {numel} elements"
            )
        return TypedStorage(storages[key], dtype, 0, numel)

    pickle = archive.read("data.pkl")
    assert pickle is not None  # its name chose the prefix
    return Unpickler(pickle, where, finder(where), persistent_load).load()

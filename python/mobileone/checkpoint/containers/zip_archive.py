"""Zip archives as views of a mapped file: what torch.save and numpy.savez write."""

from __future__ import annotations

import itertools
import struct
import zipfile
import zlib
from typing import IO

from mobileone.util.errors import CheckpointError, shown

MAGIC = b"PK\x03\x04"
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x1
# torch and NumPy store entries uncompressed, or trained weights, which shrink by a tenth.
MAX_EXPANSION = 4


class ZipArchive:
    """The entries of an archive, none of which overlaps another or lies outside the file.

    Args:
        file: the open file, for its directory.
        data: the same file, mapped.
        where: its name, for messages.

    Raises:
        CheckpointError: damaged, or two entries of one name.
    """

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

    @property
    def names(self) -> list[str]:
        """Of all entries, in the order of the directory."""
        return list(self._entries)

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
        """The contents of an entry, compared with its checksum; None where there is none."""
        info = self._entries.get(name)
        if info is None:
            return None
        contents = self.view(name)
        check_crc(f"{self.where}: entry {shown(name)}", contents, info.CRC)
        return contents

    def crc(self, name: str) -> int:
        """CRC-32 of an entry that there is, 0 where its writer left it out."""
        return self._entries[name].CRC

    def view(self, name: str) -> memoryview:
        """The contents of an entry that there is, not yet compared with its checksum."""
        info = self._entries[name]
        where = f"{self.where}: entry {shown(name)}"
        start = info.header_offset
        header = bytes(self._data[start : start + _LOCAL_HEADER.size])
        if len(header) < _LOCAL_HEADER.size or not header.startswith(MAGIC):
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


def check_crc(where: str, contents: memoryview, expected: int) -> None:
    """CheckpointError where the bytes have another CRC-32.

    0 means that the writer computed none, as torch.serialization.set_crc32_options(False) has it.
    """
    if expected and zlib.crc32(contents) != expected:
        raise CheckpointError(
            f"{where} is damaged: its bytes have CRC-32 {zlib.crc32(contents):08x}; "
            f"expected {expected:08x}"
        )

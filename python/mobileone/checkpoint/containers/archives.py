"""Zip archives of weights: torch.save's and NumPy's, and the metadata of those we wrote."""

from __future__ import annotations

import json
from typing import IO

from mobileone.checkpoint.containers.foreign import foreign_archive
from mobileone.checkpoint.containers.npz import is_npz, read_npz
from mobileone.checkpoint.containers.torch_zip import read_torch_zip, torch_prefix
from mobileone.checkpoint.containers.zip_archive import ZipArchive
from mobileone.util.errors import CheckpointError

# The entry that `archive_writer` adds; other programs read past it.
METADATA = "mobileone.json"
MAX_METADATA = 16 << 20


def read_archive(
    file: IO[bytes], data: memoryview, where: str
) -> tuple[object, str, dict[str, str]]:
    """What an archive holds, "torch zip" or "npz", and metadata.

    Raises:
        CheckpointError: another archive, by name where it is known; or a damaged one.
    """
    archive = ZipArchive(file, data, where)
    prefix = torch_prefix(archive)
    if prefix is not None:
        tree = read_torch_zip(archive, prefix)
        return tree, "torch zip", _metadata(archive, f"{prefix}{METADATA}")
    if is_npz(archive):
        return read_npz(archive), "npz", _metadata(archive, METADATA)
    name = foreign_archive(archive.names)
    raise CheckpointError(
        f"{where}: this is {name}"
        if name
        else f"{where}: a zip archive with 0 data.pkl among {len(archive.names)} entries; expected "
        "one, as torch.save writes it, or .npy arrays"
    )


def _metadata(archive: ZipArchive, entry: str) -> dict[str, str]:
    text = archive.read(entry)
    if text is None:
        return {}
    where = f"{archive.where}: {METADATA}"
    if len(text) > MAX_METADATA:
        raise CheckpointError(f"{where} has {len(text)} bytes; at most {MAX_METADATA}")
    try:
        metadata = json.loads(bytes(text).decode())
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where} is damaged") from error
    if type(metadata) is not dict or any(type(v) is not str for v in metadata.values()):
        raise CheckpointError(f"{where} does not map strings to strings")
    return metadata

"""Pictures in tar archives: webdataset's shards, or archives of folders of classes."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from mobileone.data.datasets.folder import is_image_file
from mobileone.data.datasets.shards import FileRange, Label, Picture, Shard

__all__ = ["SUFFIXES", "TarPictures"]

SUFFIXES = (".tar", ".tar.gz", ".tgz")

# Fields of a JSON member that may hold the label.
_FIELDS = ("label", "cls", "class", "target")
_MOST_LABEL_BYTES = 1 << 20


@dataclass(frozen=True)
class _TarShard:
    """One archive."""

    name: str
    path: str

    def pictures(self) -> Iterator[Picture]:
        try:
            # Pictures of a plain archive are read where they are needed, of a compressed one here.
            with tarfile.open(self.path) as archive:
                plain = self.path.lower().endswith(".tar")
                for _, members in groupby(_files(archive), lambda member: _stem(member.name)):
                    yield from _sample(archive, self.path, list(members), plain=plain)
        except (tarfile.TarError, EOFError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise ValueError(f"{self.path}: expected a tar archive; {error}") from error


class TarPictures:
    """Archives with the files of a picture one after another: KEY.jpg, and KEY.cls or KEY.json.

    Without these two, the label is the name of the folder that the picture is in. KEY.cls holds a
    class index or the name of a class; KEY.json an object with one of the fields label, cls, class,
    target.

    Args:
        paths: of the archives; each is a shard.
    """

    class_names: tuple[str, ...] | None = None
    count: int | None = None

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self.name = self._paths[0] if len(paths) == 1 else f"{len(paths)} archives, {paths[0]} …"
        for path in self._paths:
            if not os.path.isfile(path):
                raise FileNotFoundError(f"{path}: expected a tar archive")

    def shards(self) -> Iterator[Shard]:
        """One per archive."""
        for number, path in enumerate(self._paths):
            yield _TarShard(f"{number:06d}-{os.path.basename(path).partition('.')[0]}", path)


def _files(archive: tarfile.TarFile) -> Iterable[tarfile.TarInfo]:
    return (member for member in archive if member.isfile() and not member.issparse())


def _stem(name: str) -> str:
    """webdataset's key: the path up to the first dot of the file's name."""
    folder, file = os.path.split(name)
    return os.path.join(folder, file.partition(".")[0])


def _sample(
    archive: tarfile.TarFile, path: str, members: list[tarfile.TarInfo], *, plain: bool
) -> Iterator[Picture]:
    contents = {
        m.name: _read(archive, m) for m in members if not plain or not is_image_file(m.name)
    }
    label: Label = None
    for name, content in contents.items():
        if not is_image_file(name):
            found = _label(name, content, path)
            label = found if label is None else label
    for member in members:
        if is_image_file(member.name):
            shown = label
            if shown is None:
                shown = os.path.basename(os.path.dirname(member.name)) or None
            source: Any = contents.get(member.name)
            if plain:
                source = FileRange(path, member.offset_data, member.size)
            yield Picture(f"{os.path.basename(path)}/{member.name}", shown, source)


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    if not is_image_file(member.name) and member.size > _MOST_LABEL_BYTES:
        return b""
    file = archive.extractfile(member)
    return b"" if file is None else file.read()


def _label(name: str, content: bytes, path: str) -> Label:
    """What a member says of the label, or None."""
    suffix = os.path.splitext(name)[1].lower()
    if suffix == ".cls":
        text = content.decode("utf-8", "replace").strip()
        return int(text) if text.isdigit() else text
    if suffix != ".json":
        return None
    try:
        told = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {name}: expected JSON; {error}") from error
    found = [told[field] for field in _FIELDS if isinstance(told, dict) and field in told]
    if not found:
        return None
    if isinstance(found[0], str | int) and not isinstance(found[0], bool):
        return found[0]
    raise ValueError(f"{path}: {name}: has the label {found[0]!r:.60}; expected an index or a name")

"""Folders of pictures: one folder per class inside, or all in one with labels from elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mobileone.data.datasets.folder import is_image_file, suffixes_text
from mobileone.data.datasets.shards import SHARD_SIZE, Label, Picture, Shard

__all__ = ["PictureFolder"]


@dataclass(frozen=True)
class _FileShard:
    """Files below a folder, by their paths from there, with their labels."""

    name: str
    root: str
    paths: tuple[str, ...] = field(repr=False)
    labels: tuple[Label, ...] = field(repr=False)

    def pictures(self) -> Iterator[Picture]:
        for path, label in zip(self.paths, self.labels, strict=True):
            yield Picture(path, label, os.path.join(self.root, path))


class PictureFolder:
    """Pictures below a folder, sorted by path.

    Attributes:
        unlabelled: pictures that `labels` says nothing of; they are left out.

    Args:
        folder: the folder. Without `labels`, it has one folder per class, whose name is the label
            of every picture at any depth inside.
        innermost: whether the label is instead the name of the folder that the picture is in.
        labels: of pictures, by their file's name.

    Raises:
        NotADirectoryError, FileNotFoundError: no such folder.
        ValueError: no pictures in it, or none with a label.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        labels: Mapping[str, Label] | None = None,
        *,
        innermost: bool = False,
    ) -> None:
        self.root = self.name = os.fsdecode(folder)
        if not os.path.isdir(self.root):
            kind = NotADirectoryError if os.path.exists(self.root) else FileNotFoundError
            raise kind(f"{self.root}: expected a folder of pictures")
        self.unlabelled = 0
        self.class_names: tuple[str, ...] | None = None
        self._labels: list[Label] = []
        if innermost:
            self._add_innermost()
        elif labels is None:
            self._add_classes()
        else:
            self._add_labelled(labels)
        self.count: int | None = len(self._paths)

    def shards(self) -> Iterator[Shard]:
        """All of them, in the order of their pictures."""
        for first in range(0, len(self._paths), SHARD_SIZE):
            chosen = slice(first, first + SHARD_SIZE)
            paths, labels = tuple(self._paths[chosen]), tuple(self._labels[chosen])
            yield _FileShard(f"{first:09d}", self.root, paths, labels)

    def _add_classes(self) -> None:
        with os.scandir(self.root) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir())
        found = {name: sorted(_pictures(self.root, name)) for name in names}
        found = {name: paths for name, paths in found.items() if paths}
        if not found:
            loose = next(_pictures(self.root, "", deep=False), None)
            hint = (
                f"; it holds pictures such as {loose}, whose labels nothing tells: give labels="
                if loose
                else ""
            )
            raise ValueError(
                f"{self.root}: has no folders with pictures ({suffixes_text()}); expected one "
                f"folder per class{hint}"
            )
        self.class_names = tuple(found)
        self._paths = [path for paths in found.values() for path in paths]
        self._labels = [name for name, paths in found.items() for _ in paths]

    def _add_innermost(self) -> None:
        self._paths = sorted(path for path in _pictures(self.root, "") if os.path.dirname(path))
        if not self._paths:
            raise ValueError(f"{self.root}: has no folders with pictures ({suffixes_text()})")
        names = [os.path.basename(os.path.dirname(path)) for path in self._paths]
        self.class_names = tuple(sorted(set(names)))
        self._labels = list(names)

    def _add_labelled(self, labels: Mapping[str, Label]) -> None:
        everything = sorted(_pictures(self.root, ""))
        if not everything:
            raise ValueError(f"{self.root}: has no pictures; expected {suffixes_text()}")
        known = [path for path in everything if _told(path, labels) is not _NOTHING]
        if not known:
            raise ValueError(
                f"{self.root}: none of its {len(everything)} pictures, such as {everything[0]}, "
                f"is among the {len(labels)} that have labels, such as {next(iter(labels), 'none')}"
            )
        self.unlabelled = len(everything) - len(known)
        self._paths = known
        self._labels = [_told(path, labels) for path in known]


_NOTHING = object()


def _told(path: str, labels: Mapping[str, Label]) -> Any:
    """The label of a picture by its name, with or without the suffix; or _NOTHING."""
    name = os.path.basename(path)
    return labels.get(name, labels.get(os.path.splitext(name)[0], _NOTHING))


def _pictures(root: str, below: str, *, deep: bool = True) -> Iterator[str]:
    """Paths from `root` of the pictures below `root/below`; links to folders are followed once."""
    with os.scandir(os.path.join(root, below)) as entries:
        for entry in entries:
            path = os.path.join(below, entry.name)
            if is_image_file(entry.name) and entry.is_file():
                yield path
            elif deep and entry.is_dir():
                yield from _pictures(root, path)

"""What `mobileone.evaluate` takes as data, as pictures in shards."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from mobileone.data.datasets.digits import held_out_digits
from mobileone.data.datasets.parquet_pictures import ParquetPictures
from mobileone.data.datasets.picture_folder import PictureFolder
from mobileone.data.datasets.several_files import files_of
from mobileone.data.datasets.shards import ArrayPictures, IteratedPictures, PictureSet
from mobileone.data.datasets.tar_pictures import SUFFIXES, TarPictures
from mobileone.evaluation.label_files import find_label_file, read_labels

__all__ = ["DIGITS", "open_data"]

# The handwritten digits that ship with the package.
DIGITS = "digits"


def open_data(data: Any, labels: Any = None) -> tuple[PictureSet, tuple[str, ...]]:
    """The pictures, and what there is to say about them; see `mobileone.evaluate`.

    Raises:
        TypeError: no data.
        ValueError, OSError: no pictures in it.
    """
    if isinstance(data, str) and data == DIGITS and not os.path.exists(data):
        held_out = held_out_digits()
        return ArrayPictures(held_out.pixels, held_out.labels), ()
    if isinstance(data, str | os.PathLike):
        return _open_path(os.fsdecode(data), labels)
    if labels is not None:
        return ArrayPictures(data, labels), ()
    if hasattr(data, "shards"):
        return data, ()
    if isinstance(data, tuple) and len(data) == 2 and not _is_pair_of_pairs(data):
        return ArrayPictures(*data), ()
    if hasattr(data, "image") and hasattr(data, "labels"):
        pairs = ((data.image(i), int(y)) for i, y in enumerate(data.labels))
        return IteratedPictures(pairs, "samples"), ()
    if isinstance(data, list) and data and all(isinstance(x, str | os.PathLike) for x in data):
        return TarPictures([os.fsdecode(path) for path in data]), ()
    if isinstance(data, Iterable):
        return IteratedPictures(data), ()
    raise TypeError(
        f"data is a {type(data).__name__}; expected a folder, (images, labels) or an iterable of "
        "(image, label)"
    )


def _is_pair_of_pairs(data: tuple[Any, Any]) -> bool:
    """((image, label), (image, label)): two pictures, not images and labels."""
    return all(isinstance(item, tuple | list) and len(item) in (2, 3) for item in data)


def _open_path(path: str, labels: Any) -> tuple[PictureSet, tuple[str, ...]]:
    parquet = files_of(path, (".parquet",))
    if parquet:
        return ParquetPictures(parquet, labels), ()
    tars = files_of(path, SUFFIXES)
    if tars:
        if labels is not None:
            raise ValueError(f"labels are given for {path}; expected none: archives hold their own")
        return TarPictures(tars), ()
    if labels is None and os.path.isdir(path) and not _has_folders(path):
        labels = find_label_file(path)
    if labels is None:
        return PictureFolder(path), ()
    told = read_labels(labels)
    folder = PictureFolder(path, told)
    notes = []
    if isinstance(labels, str | os.PathLike):
        notes.append(f"labels from {os.fsdecode(labels)}")
    if folder.unlabelled:
        notes.append(f"{folder.unlabelled} pictures have no label there, and are left out")
    return folder, tuple(notes)


def _has_folders(path: str) -> bool:
    with os.scandir(path) as entries:
        return any(entry.is_dir() for entry in entries)

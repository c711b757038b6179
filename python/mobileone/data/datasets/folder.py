"""A folder of images with one folder per class."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mobileone.data.preprocessing import open_image

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["FolderSamples", "is_image_file", "suffixes_text"]

_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class FolderSamples:
    """Images in `folder/<class>/**`; classes are numbered in the order of their folders' names,
    unless another one is given.

    Attributes:
        paths: of the images, sorted by folder and name.
        labels: class indices [N].
        class_names: names of the folders.

    Args:
        folder: which has a folder per class.
        class_names: the classes that there must be, in that order, of the training data, for
            validation data.
        order: of the classes, if these are the folders' names.

    Raises:
        NotADirectoryError, FileNotFoundError: no such folder.
        ValueError: fewer than two classes, one without images, or others than `class_names`.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        class_names: tuple[str, ...] | None = None,
        order: tuple[str, ...] | None = None,
    ) -> None:
        where = os.fsdecode(folder)
        root = Path(where)
        if not root.is_dir():
            kind = NotADirectoryError if root.exists() else FileNotFoundError
            raise kind(f"{where}: expected a folder with one folder of images per class")
        found = tuple(sorted(p.name for p in root.iterdir() if p.is_dir()))
        same = order is not None and sorted(order) == list(found)
        names = (order if same else found) if class_names is None else class_names
        assert names is not None
        if list(found) != sorted(names):
            other = sorted(set(found) ^ set(names))
            raise ValueError(
                f"{where}: has the classes {', '.join(found) or 'none'}; expected those of the "
                f"training data, which differ by {', '.join(other)}"
            )
        files = [sorted(p for p in (root / n).rglob("*") if _is_image(p)) for n in found]
        for name, own in zip(found, files, strict=True):
            if not own:
                raise ValueError(f"{root / name}: has no images; expected {suffixes_text()}")
        if not names:
            raise ValueError(f"{where}: has no folders; expected one folder of images per class")
        if len(names) == 1:
            raise ValueError(f"{where}: has one class, {names[0]}; expected two or more")
        self.paths = [path for own in files for path in own]
        self.labels = np.repeat([names.index(name) for name in found], [len(own) for own in files])
        self.class_names: tuple[str, ...] | None = names

    def image(self, index: int) -> PillowImage.Image:
        """One image, RGB and upright; ValueError naming the file if it cannot be read."""
        return open_image(self.paths[index])


def _is_image(path: Path) -> bool:
    return is_image_file(path.name) and path.is_file()


def is_image_file(name: str) -> bool:
    """Whether a file is a picture, by its name."""
    return os.path.splitext(name)[1].lower() in _SUFFIXES


def suffixes_text() -> str:
    """The endings of pictures' names."""
    return ", ".join(sorted(_SUFFIXES))

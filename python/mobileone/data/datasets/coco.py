"""COCO's annotations of boxes, and the folder of their pictures.

Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; the format of its files:
https://cocodataset.org/#format-data
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.data.datasets.objects import Objects
from mobileone.data.preprocessing import open_picture

if TYPE_CHECKING:
    from PIL import Image as PillowImage

__all__ = ["CocoPictures"]

_PARTS = ("images", "annotations", "categories")


class CocoPictures:
    """The pictures that a file of annotations names. Category ids, sorted, become classes 1, 2, ...

    Attributes:
        name: of the file.
        truth: what the file holds.
        category_ids: of class 1, 2, ...
        class_names: "background", and the names of the categories.

    Args:
        annotations: a .json file with "images", "annotations" and "categories".
        folder: where the pictures are, by their "file_name".

    Raises:
        FileNotFoundError, NotADirectoryError: no such file or folder.
        ValueError: a part or key that is missing, or an annotation of something that is not there.
    """

    def __init__(self, annotations: str | os.PathLike[str], folder: str | os.PathLike[str]) -> None:
        self.name, self._folder = os.fsdecode(annotations), os.fsdecode(folder)
        self.truth = _read(self.name)
        if not os.path.isdir(self._folder):
            kind = NotADirectoryError if os.path.exists(self._folder) else FileNotFoundError
            raise kind(f"{self._folder}: expected the folder of the pictures of {self.name}")
        categories = sorted(self.truth["categories"], key=lambda category: category["id"])
        self.category_ids = tuple(category["id"] for category in categories)
        self.class_names: tuple[str, ...] | None = (
            "background",
            *(str(category.get("name", category["id"])) for category in categories),
        )
        self._images = self.truth["images"]
        self._of_image: dict[Any, list[dict[str, Any]]] = {one["id"]: [] for one in self._images}
        known = set(self.category_ids)
        for i, annotation in enumerate(self.truth["annotations"]):
            if annotation["image_id"] not in self._of_image:
                raise ValueError(
                    f"{self.name}: annotations[{i}] has image_id {annotation['image_id']!r}, which "
                    "is not among the images"
                )
            if annotation["category_id"] not in known:
                raise ValueError(
                    f"{self.name}: annotations[{i}] has category_id {annotation['category_id']!r}, "
                    "which is not among the categories"
                )
            self._of_image[annotation["image_id"]].append(annotation)

    def __len__(self) -> int:
        return len(self._images)

    def image_id(self, index: int) -> Any:
        """What annotations and results call a picture."""
        return self._images[index]["id"]

    def path(self, index: int) -> str:
        """Of a picture's file."""
        return os.path.join(self._folder, self._images[index]["file_name"])

    def image(self, index: int) -> PillowImage.Image:
        """One picture as it is stored, of mode RGB: boxes are of that, whatever its EXIF data."""
        return open_picture(self.path(index), "RGB", upright=False)

    def objects(self, index: int) -> Objects:
        """The objects to learn: of crowds and of boxes without an area none."""
        boxes, labels = [], []
        for annotation in self._of_image[self.image_id(index)]:
            left, top, width, height = annotation["bbox"]
            if width > 0 and height > 0 and not annotation.get("iscrowd", 0):
                boxes.append([left, top, left + width, top + height])
                labels.append(1 + self.category_ids.index(annotation["category_id"]))
        return Objects(np.array(boxes, np.float64).reshape(-1, 4), np.array(labels, np.int64))


def _read(path: str) -> dict[str, Any]:
    with open(path, encoding="utf-8") as file:
        try:
            truth: Any = json.load(file)
        except ValueError as error:
            raise ValueError(f"{path}: no JSON: {error}") from error
    found = sorted(truth) if isinstance(truth, dict) else type(truth).__name__
    if not isinstance(truth, dict) or any(part not in truth for part in _PARTS):
        raise ValueError(f"{path}: has {found}; expected {', '.join(_PARTS)}")
    needed = {
        "images": ("id", "file_name"),
        "annotations": ("image_id", "category_id", "bbox"),
        "categories": ("id",),
    }
    for part, keys in needed.items():
        for i, one in enumerate(truth[part]):
            missing = [key for key in keys if not isinstance(one, dict) or key not in one]
            if missing:
                raise ValueError(f"{path}: {part}[{i}] has no {missing[0]!r}")
    return truth

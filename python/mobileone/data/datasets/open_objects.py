"""What somebody names as pictures with objects."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobileone.data.datasets.coco import CocoPictures
from mobileone.data.datasets.objects import PicturesWithObjects

if TYPE_CHECKING:
    from mobileone.data.datasets.objects import ObjectSamples

__all__ = ["open_objects"]


def open_objects(data: Any) -> ObjectSamples | None:
    """Pictures with objects; None for what is none.

    Args:
        data: two paths, (COCO's annotations, folder of pictures); a folder with
            annotations/instances_<split>.json and <split>/, of one split; (images, objects), see
            `data.datasets.objects`; or what has `image` and `objects`.

    Raises:
        OSError, ValueError: no such files, or others than such.
    """
    if hasattr(data, "image") and hasattr(data, "objects"):
        samples: ObjectSamples = data
        return samples
    if isinstance(data, str | os.PathLike):
        return CocoPictures(*_split_of(Path(os.fsdecode(data))))
    if not isinstance(data, tuple) or len(data) != 2 or callable(data):
        return None
    if all(isinstance(part, str | os.PathLike) for part in data):
        return CocoPictures(*data)
    return PicturesWithObjects(*data)


def _split_of(root: Path) -> tuple[Path, Path]:
    prefix, folder = "instances_", root / "annotations"
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: no such folder; expected {prefix}<split>.json in it, and the pictures in "
            f"{root}/<split>; or two paths, (annotations, folder)"
        )
    files = sorted(folder.glob(f"{prefix}*.json"))
    splits = [(file, root / file.stem.removeprefix(prefix)) for file in files]
    there = [pair for pair in splits if pair[1].is_dir()]
    if len(there) != 1:
        found = ", ".join(file.name for file, _ in there) or "none"
        raise ValueError(
            f"{folder}: {prefix}<split>.json with a folder {root}/<split>: {found}; expected one, "
            "or two paths, (annotations, folder)"
        )
    return there[0]

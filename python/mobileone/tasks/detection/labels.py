"""Names of classes of objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["COCO_IDS", "coco_classes", "object_class_names"]

_LEFT_OUT = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83)
# The category id of each of COCO's classes.
COCO_IDS = tuple(i for i in range(1, 91) if i not in _LEFT_OUT)


@cache
def coco_classes() -> tuple[str, ...]:
    """The 80 classes of COCO 2017, in the order of their category ids; detectors number them from
    1, after the background.
    """
    path = Path(__file__).with_name("coco_classes.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


def object_class_names(count: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """The names of so many classes, the background among them: those given, COCO's of 81, else
    "class 0", ...
    """
    if names is not None:
        return tuple(names)
    if count == len(COCO_IDS) + 1:
        return ("background", *coco_classes())
    return tuple(f"class {i}" for i in range(count))

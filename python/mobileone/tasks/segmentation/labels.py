"""Names of classes of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

__all__ = ["pixel_class_names", "voc_classes"]

_VOC = 21


@cache
def voc_classes() -> tuple[str, ...]:
    """The background and the 20 classes of Pascal VOC 2012, in the order of its colours."""
    path = Path(__file__).with_name("voc_classes.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


def pixel_class_names(count: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """The names of so many classes: those given, VOC's of 21, else "class 0", ..."""
    if names is not None:
        return tuple(names)
    return voc_classes() if count == _VOC else tuple(f"class {i}" for i in range(count))

"""Names and colours of classes of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from mobileone.tasks.colours import palette

__all__ = ["ade20k_classes", "pixel_class_names", "pixel_palette", "voc_classes"]

_VOC, _ADE20K = 21, 150


@cache
def voc_classes() -> tuple[str, ...]:
    """The background and the 20 classes of Pascal VOC 2012, in the order of its colours."""
    path = Path(__file__).with_name("voc_classes.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


@cache
def ade20k_classes() -> tuple[str, ...]:
    """The 150 classes of ADE20k's scene parsing benchmark (Zhou et al., CVPR 2017), without a
    background, each by the first of its names there.
    """
    return tuple(line.split(" ", 1)[1] for line in _ade20k_lines())


def _ade20k_lines() -> list[str]:
    path = Path(__file__).with_name("ade20k_classes.txt")
    return path.read_text(encoding="utf-8").splitlines()


def pixel_class_names(count: int, names: Sequence[str] | None) -> tuple[str, ...]:
    """Of so many classes: the names given, VOC's of 21, ADE20k's of 150, else "class 0", ..."""
    if names is not None:
        return tuple(names)
    if count == _ADE20K:
        return ade20k_classes()
    return voc_classes() if count == _VOC else tuple(f"class {i}" for i in range(count))


def pixel_palette(names: Sequence[str]) -> list[tuple[int, int, int]]:
    """The colour of each class: ADE20k's own of its classes, else VOC's."""
    if tuple(names) != ade20k_classes():
        return palette(len(names))
    colours = [bytes.fromhex(line.split(" ", 1)[0]) for line in _ade20k_lines()]
    return [(red, green, blue) for red, green, blue in colours]

"""Names of classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache

__all__ = ["check_class_names", "class_name", "imagenet_classes", "parse_class_names"]


@cache
def imagenet_classes() -> tuple[str, ...]:
    """The 1000 classes of ImageNet-1k (ILSVRC 2012), ordered by WordNet synset number.

    Each is the first of its synset's words, or where two classes share that (crane, maillot,
    cardigan) one that tells them apart. That is the order in which every public checkpoint has
    its logits.
    """
    from pathlib import Path

    path = Path(__file__).with_name("imagenet_classes.txt")
    return tuple(path.read_text(encoding="utf-8").splitlines())


def class_name(index: int, num_classes: int, names: Sequence[str] | None) -> str:
    """What the class is called: by `names`, as in ImageNet-1k if there are 1000, or "class 17"."""
    if names is not None:
        return names[index]
    return imagenet_classes()[index] if num_classes == 1000 else f"class {index}"


def parse_class_names(text: str) -> tuple[str, ...]:
    """The strings of a JSON list; ValueError for anything else."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError("expected a JSON list") from error
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("expected a JSON list of strings")
    return tuple(names)


def check_class_names(names: Sequence[str] | None, num_classes: int) -> tuple[str, ...] | None:
    """The names as a tuple; ValueError unless they are `num_classes` strings."""
    if names is None:
        return None
    if isinstance(names, str) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"class_names is {names!r:.60}; expected a list of strings")
    if len(names) != num_classes:
        raise ValueError(f"{len(names)} class_names for {num_classes} classes")
    return tuple(names)

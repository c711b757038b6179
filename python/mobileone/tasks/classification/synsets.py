"""ImageNet's classes by their WordNet synsets, as its folders are named."""

from __future__ import annotations

from functools import cache
from pathlib import Path

__all__ = ["imagenet_synsets", "is_synset", "synset_indices"]


@cache
def imagenet_synsets() -> tuple[str, ...]:
    """The 1000 synsets of ImageNet-1k (ILSVRC 2012), like "n01440764", in the order of logits."""
    path = Path(__file__).with_name("imagenet_synsets.txt")
    return tuple(path.read_text(encoding="ascii").split())


@cache
def synset_indices() -> dict[str, int]:
    """The class index of every synset."""
    return {synset: index for index, synset in enumerate(imagenet_synsets())}


def is_synset(name: str) -> bool:
    """Whether a name is one of a synset: "n" and eight digits."""
    return len(name) == 9 and name[0] == "n" and name[1:].isdigit()

"""The key layouts of every family's public checkpoints, and files that only look like them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from mobileone.families import HEADS, NAMES, all_families, all_heads
from mobileone.families.naming.renaming import Recognition, recognise_in
from mobileone.families.naming.table import Layout

__all__ = ["LAYOUTS", "count_by_prefix", "find_layout", "foreign_network", "layouts_of"]
__all__ += ["head_layouts", "recognise"]

LAYOUTS: tuple[Layout, ...] = tuple(
    layout for family in all_families() for layout in family.layouts()
)
_MAX_KEY = 200
_NUMBER = re.compile(r"[0-9]+")
# Modules that a network lies in, one inside the other.
_MAX_DEPTH = 16


@cache
def head_layouts() -> tuple[Layout, ...]:
    """Those of networks with a head for another task than classification."""
    return tuple(layout for head in all_heads() for layout in head.layouts())


def layouts_of(architecture: str) -> list[Layout]:
    """The layouts of a family; the first one has the canonical names."""
    known = head_layouts() if architecture in HEADS else LAYOUTS
    return [layout for layout in known if layout.architecture == architecture]


def find_layout(name: str, architecture: str = NAMES[0]) -> Layout:
    """The layout of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {layout.name: layout for layout in layouts_of(architecture)}
    if name not in known:
        expected = f"one of {', '.join(known)}" if known else "none: its names are its graph's"
        raise ValueError(f"layout {name!r} is not known for {architecture}; expected {expected}")
    return known[name]


# What only keys of heads contain, in any layout; here, so that other files need no head's record.
_HEAD_MARKS = ("seg_head.", "segmentation_head.", "ssd_heads.", "neck.extra_layers.")


def _layouts_for(keys: Iterable[str]) -> tuple[Layout, ...]:
    """Those of classifiers, or of heads where a key can only be one's."""
    marked = any(mark in key for key in keys for mark in _HEAD_MARKS)
    return head_layouts() if marked else LAYOUTS


def recognise(keys: list[str], *, heads: bool = True) -> Recognition:
    """The layout that explains most of the keys, and which ones it does not explain.

    Args:
        keys: of one file.
        heads: False looks for a backbone alone, whatever head is on it.
    """
    return recognise_in(_layouts_for(keys) if heads else LAYOUTS, keys)


@cache
def _known_texts(layouts: tuple[Layout, ...]) -> frozenset[tuple[str, ...]]:
    return frozenset().union(*(layout.texts for layout in layouts))


def count_by_prefix(keys: Iterable[str], *, heads: bool = True) -> Counter[str]:
    """Prefix -> how many of the keys are a layout's once it is removed; each counts once.

    A prefix is "" or ends with a dot. Of a key that several prefixes make a layout's the shortest
    counts: "backbone." is part of some layouts' names. Numbers are not looked at.
    """
    keys = list(keys)
    texts = _known_texts(_layouts_for(keys) if heads else LAYOUTS)
    counts: Counter[str] = Counter()
    depths: dict[str, int] = {}  # keys that differ in their numbers alone have the same
    for key in keys:
        if len(key) > _MAX_KEY:
            continue
        shape = _NUMBER.sub("0", key)
        depth = depths.get(shape)
        if depth is None:
            depth = depths[shape] = _depth(shape, texts)
        if depth >= 0:
            counts["".join(f"{part}." for part in key.split(".")[:depth])] += 1
    return counts


def _depth(key: str, texts: frozenset[tuple[str, ...]]) -> int:
    """How many of a key's parts stand before a layout's; -1 if it has none of any layout."""
    parts = key.split(".")
    for depth in range(min(len(parts), _MAX_DEPTH)):
        if tuple(_NUMBER.split(".".join(parts[depth:]))) in texts:
            return depth
    return -1


def foreign_network(keys: Iterable[str]) -> str | None:
    """Names the look-alike network that the keys belong to, and the difference; else None."""
    keys = [key for key in keys if len(key) < _MAX_KEY]
    for family in all_families() if keys else ():
        for pattern, name, difference in family.look_alikes():
            if any(re.fullmatch(pattern, key) for key in keys):
                return f"{name}, which is not the same network as {family.title}: {difference}"
    return None

"""The key layouts of every family's public checkpoints, and files that only look like them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache

from mobileone.families import NAMES, all_families
from mobileone.families.naming.renaming import Recognition, recognise_in
from mobileone.families.naming.table import Layout

__all__ = ["LAYOUTS", "count_by_prefix", "find_layout", "foreign_network", "layouts_of"]
__all__ += ["recognise"]

LAYOUTS: tuple[Layout, ...] = tuple(
    layout for family in all_families() for layout in family.layouts()
)
_MAX_KEY = 200
_NUMBER = re.compile(r"[0-9]+")
# Modules that a network lies in, one inside the other.
_MAX_DEPTH = 16


def layouts_of(architecture: str) -> list[Layout]:
    """The layouts of a family; the first one has the canonical names."""
    return [layout for layout in LAYOUTS if layout.architecture == architecture]


def find_layout(name: str, architecture: str = NAMES[0]) -> Layout:
    """The layout of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    known = {layout.name: layout for layout in layouts_of(architecture)}
    if name not in known:
        raise ValueError(
            f"layout {name!r} is not known for {architecture}; expected one of {', '.join(known)}"
        )
    return known[name]


def recognise(keys: list[str]) -> Recognition:
    """The layout that explains most of the keys, and which ones it does not explain."""
    return recognise_in(LAYOUTS, keys)


@cache
def _known_texts() -> frozenset[tuple[str, ...]]:
    return frozenset().union(*(layout.texts for layout in LAYOUTS))


def count_by_prefix(keys: Iterable[str]) -> Counter[str]:
    """Prefix -> how many of the keys are a layout's once it is removed; each counts once.

    A prefix is "" or ends with a dot. Of a key that several prefixes make a layout's the shortest
    counts: "backbone." is part of some layouts' names. Numbers are not looked at.
    """
    counts: Counter[str] = Counter()
    depths: dict[str, int] = {}  # keys that differ in their numbers alone have the same
    for key in keys:
        if len(key) > _MAX_KEY:
            continue
        shape = _NUMBER.sub("0", key)
        depth = depths.get(shape)
        if depth is None:
            depth = depths[shape] = _depth(shape)
        if depth >= 0:
            counts["".join(f"{part}." for part in key.split(".")[:depth])] += 1
    return counts


def _depth(key: str) -> int:
    """How many of a key's parts stand before a layout's; -1 if it has none of any layout."""
    parts = key.split(".")
    for depth in range(min(len(parts), _MAX_DEPTH)):
        if tuple(_NUMBER.split(".".join(parts[depth:]))) in _known_texts():
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

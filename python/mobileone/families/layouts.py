"""The key layouts of every family's public checkpoints, and files that only look like them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from mobileone.families import NAMES, all_families
from mobileone.families.naming.renaming import Recognition, recognise_in
from mobileone.families.naming.table import Layout

__all__ = ["LAYOUTS", "find_layout", "foreign_network", "layouts_of", "recognise"]

LAYOUTS: tuple[Layout, ...] = tuple(
    layout for family in all_families() for layout in family.layouts()
)
_MAX_KEY = 200


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


def foreign_network(keys: Iterable[str]) -> str | None:
    """Names the look-alike network that the keys belong to, and the difference; else None."""
    keys = [key for key in keys if len(key) < _MAX_KEY]
    for family in all_families() if keys else ():
        for pattern, name, difference in family.look_alikes():
            if any(re.fullmatch(pattern, key) for key in keys):
                return f"{name}, which is not the same network as {family.title}: {difference}"
    return None

"""Key layouts of public checkpoints. To add one, write its table and list it here.

A layout maps its own tensor names to the canonical ones and back: those of the networks' authors,
see `apple` for MobileOne and `cvnets` for MobileViT. Files of a layout that is not the same network
are recognised by `foreign` and refused.
"""

from __future__ import annotations

from mobileone.families.naming import apple, cvnets, jahongir7174, mmpretrain, timm, transformers
from mobileone.families.naming.foreign import foreign_network
from mobileone.families.naming.renaming import (
    Recognition,
    from_canonical,
    recognise_in,
    sliced_shapes,
    to_canonical,
)
from mobileone.families.naming.table import Layout

LAYOUTS: tuple[Layout, ...] = (
    apple.MOBILEONE,
    timm.MOBILEONE,
    mmpretrain.MOBILEONE,
    cvnets.MOBILEONE,
    jahongir7174.MOBILEONE,
    cvnets.MOBILEVIT,
    timm.MOBILEVIT,
    mmpretrain.MOBILEVIT,
    transformers.MOBILEVIT,
)


def find_layout(name: str, architecture: str = "mobileone") -> Layout:
    """The layout of that name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    for layout in LAYOUTS:
        if (layout.architecture, layout.name) == (architecture, name):
            return layout
    known = ", ".join(x.name for x in LAYOUTS if x.architecture == architecture)
    raise ValueError(f"layout {name!r} is not known for {architecture}; expected one of {known}")


def recognise(keys: list[str]) -> Recognition:
    """The layout that explains most of the keys, and which ones it does not explain."""
    return recognise_in(LAYOUTS, keys)


__all__ = [
    "LAYOUTS",
    "Layout",
    "Recognition",
    "find_layout",
    "foreign_network",
    "from_canonical",
    "recognise",
    "sliced_shapes",
    "to_canonical",
]

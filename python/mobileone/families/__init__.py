"""Families of networks. All that is known of one is its record, `families.<name>.FAMILY`.

To add one: a folder here with a `Family` in it, and its name below.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.families.family import Family

__all__ = ["HEADS", "NAMES", "UNPUBLISHED", "all_families", "all_heads", "family_of"]
__all__ += ["find_family", "graph_of"]

# Published families; the first one is what configurations without "architecture" mean.
NAMES = ("mobileone", "mobilevit")
# Networks for segmentation and detection, whose backbones are of the families above.
HEADS = ("deeplabv3", "ssdlite", "ssdlite_mmdet")
# Those of the studies and of other programs' graphs, of which there are no variants.
UNPUBLISHED = ("plain_cnn", "imported")


def find_family(name: object) -> Family:
    """The family of that name, imported when first asked for; ValueError if there is none."""
    known = NAMES + HEADS + UNPUBLISHED
    if name not in known:
        raise ValueError(f"architecture is {name!r}; expected one of {known}")
    return _imported(str(name))


@cache
def _imported(name: str) -> Family:
    place = f"heads.{name}" if name in HEADS else name
    family: Family = import_module(f"mobileone.families.{place}").FAMILY
    return family


def family_of(config: Mapping[str, Any]) -> Family:
    """The family of a configuration; ValueError if there is none of that name."""
    return find_family(config.get("architecture", NAMES[0])).of(config)


def all_families() -> list[Family]:
    """Every published family of backbones and classifiers, in the order of `NAMES`."""
    return [find_family(name) for name in NAMES]


def all_heads() -> list[Family]:
    """Every head, in the order of `HEADS`."""
    return [find_family(name) for name in HEADS]


def graph_of(config: Mapping[str, Any]) -> Graph:
    """The graph of a complete configuration."""
    return family_of(config).graph(config)

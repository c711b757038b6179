"""Naming what a checkpoint holds: the published variants by their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from mobileone.families import HEADS, NAMES, all_families, all_heads, family_of, find_family

if TYPE_CHECKING:
    from mobileone.families.family import Family

__all__ = ["CUSTOM", "describe", "family_of_variant", "nearest_variant", "variant_of", "variants"]

# What a checkpoint's network is called that is no published variant.
CUSTOM = "custom"


@cache
def variants(architecture: str = NAMES[0]) -> dict[str, dict[str, Any]]:
    """Name -> structure of the published variants, as the engine defines them."""
    known = find_family(architecture).variants()
    return {name: dict(config) for name, config in known.items()}


def family_of_variant(name: str) -> Family | None:
    """The family or head that has a variant of this name; None if none has."""
    if not isinstance(name, str):
        return None
    families = (*all_families(), *(all_heads() if name.startswith(HEADS) else ()))
    return next((family for family in families if name in variants(family.name)), None)


def variant_of(config: Mapping[str, Any], compared: tuple[str, ...] = ()) -> str:
    """The variant that agrees with the configuration in the compared fields, else "custom".

    Without ``compared``, in all of its structure.
    """
    family = family_of(config)
    fields = (*family.structure(), *(s for s in family.settings if not s.free))
    asked = [field for field in fields if field.name in compared or not compared]
    for name, variant in variants(family.name).items():
        if all(
            field.agrees(family.value(config, field.name), family.value(variant, field.name))
            for field in asked
        ):
            return name
    return CUSTOM


def nearest_variant(config: Mapping[str, Any]) -> str:
    """The variant whose structure differs least, for messages."""
    known = variants(family_of(config).name)
    return min(known, key=lambda name: _distance(config, known[name]))


def _distance(config: Mapping[str, Any], variant: Mapping[str, Any]) -> float:
    """Lists of widths and depths count by their relative differences, other fields little."""
    off = 0.0
    for key, value in variant.items():
        own = config[key]
        if isinstance(value, dict):
            off += len(own.keys() ^ value.keys()) / 12
        elif isinstance(value, list):
            pairs = zip(own, value, strict=False)
            off += sum(abs(a - b) / max(a, b, 1) for a, b in pairs) + abs(len(own) - len(value))
        else:
            off += 0.1 * (own != value)
    return off


def describe(layout: str, config: Mapping[str, Any]) -> str:
    """Layout, variant and form in words, e.g. "timm mobileone_s1, inference form"."""
    arch = config["arch"]
    if arch == CUSTOM:
        body = config.get("backbone", config)
        widths = ", ".join(str(w) for w in body["widths"])
        title = family_of(config).title
        arch = f"custom {title} of widths {widths} (nearest variant {nearest_variant(config)})"
    return f"{layout} {arch}, {config['form']} form"

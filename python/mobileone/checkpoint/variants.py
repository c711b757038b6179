"""Naming what a checkpoint holds: the published MobileOne variants by their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

# The structure; classes, input channels and form are free within a variant.
STRUCTURE = ("stem_width", "widths", "depths", "num_conv_branches", "se_widths")


@cache
def variants() -> dict[str, dict[str, Any]]:
    """Name -> structure of the published variants, as the engine defines them."""
    from mobileone import _core

    return {name: dict(config) for name, config in _core.mobileone_variants().items()}


def variant_of(config: Mapping[str, Any], compared: tuple[str, ...] = STRUCTURE) -> str:
    """The variant that agrees with the configuration in the compared fields, else "custom"."""
    for name, variant in variants().items():
        if all(config[key] == variant[key] for key in compared):
            return name
    return "custom"


def nearest_variant(config: Mapping[str, Any]) -> str:
    """The variant whose widths and depths differ least, for messages."""

    def distance(variant: Mapping[str, Any]) -> float:
        pairs = [*zip(config["widths"], variant["widths"], strict=False)]
        pairs += zip(config["depths"], variant["depths"], strict=False)
        off: float = sum(abs(a - b) / max(a, b, 1) for a, b in pairs)
        off += abs(len(config["widths"]) - len(variant["widths"]))
        off += len(config["se_widths"].keys() ^ variant["se_widths"].keys()) / 12
        same = config["num_conv_branches"] == variant["num_conv_branches"]
        return off + 0.1 * (not same)

    return min(variants(), key=lambda name: distance(variants()[name]))

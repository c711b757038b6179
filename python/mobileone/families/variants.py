"""Naming what a checkpoint holds: the published variants by their configuration."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

TITLES = {"mobileone": "MobileOne", "mobilevit": "MobileViT"}

# The structure; classes, input channels, dropout and form are free within a variant.
STRUCTURE = {
    "mobileone": ("stem_width", "widths", "depths", "num_conv_branches", "se_widths"),
    "mobilevit": (
        "stem_width",
        "widths",
        "depths",
        "transformer_widths",
        "ffn_widths",
        "transformer_depths",
        "expansion",
        "head_width",
        "heads",
        "patch",
    ),
}


@cache
def variants(architecture: str = "mobileone") -> dict[str, dict[str, Any]]:
    """Name -> structure of the published variants, as the engine defines them."""
    from mobileone._core import mobileone_variants, mobilevit_variants

    known = {"mobileone": mobileone_variants, "mobilevit": mobilevit_variants}
    return {name: dict(config) for name, config in known[architecture]().items()}


def architecture_of_variant(name: str) -> str | None:
    """The architecture that has a variant of this name; None if none has."""
    return next((a for a in TITLES if name in variants(a)), None)


def architecture_of(config: Mapping[str, Any]) -> str:
    """ "mobileone", which is what configurations without the field mean, or another one."""
    return str(config.get("architecture", "mobileone"))


def variant_of(config: Mapping[str, Any], compared: tuple[str, ...] = ()) -> str:
    """The variant that agrees with the configuration in the compared fields, else "custom".

    Without ``compared``, in all of its structure.
    """
    architecture = architecture_of(config)
    for name, variant in variants(architecture).items():
        fields = compared or STRUCTURE[architecture]
        if all(config[key] == variant[key] for key in fields):
            return name
    return "custom"


def nearest_variant(config: Mapping[str, Any]) -> str:
    """The variant whose structure differs least, for messages."""
    known = variants(architecture_of(config))
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
    if arch == "custom":
        title = TITLES[architecture_of(config)]
        widths = ", ".join(str(w) for w in config["widths"])
        arch = f"custom {title} of widths {widths} (nearest variant {nearest_variant(config)})"
    return f"{layout} {arch}, {config['form']} form"

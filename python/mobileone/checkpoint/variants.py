"""The published MobileOne variants by their shapes, to name what a checkpoint holds.

Sources: MobileOne paper, Table 2 (S0-S4) and supplement (mu0-mu2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def _variant(
    widths: tuple[int, ...],
    branches: int,
    depths: tuple[int, ...] = (2, 8, 10, 1),
    se_widths: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    return {
        "stem_width": min(64, widths[0]),
        "widths": list(widths),
        "depths": list(depths),
        "num_conv_branches": branches,
        "se_widths": dict(se_widths or {}),
    }


# S4: both blocks of the last five pairs of stage 3 and of the one pair of stage 4, whose depthwise
# block still has stage 3's 896 channels.
_S4_SE = {f"stage3.{j}": 56 for j in range(10, 20)} | {"stage4.0": 56, "stage4.1": 128}

VARIANTS: dict[str, dict[str, Any]] = {
    "mobileone_s0": _variant((48, 128, 256, 1024), 4),
    "mobileone_s1": _variant((96, 192, 512, 1280), 1),
    "mobileone_s2": _variant((96, 256, 640, 2048), 1),
    "mobileone_s3": _variant((128, 320, 768, 2048), 1),
    "mobileone_s4": _variant((192, 448, 896, 2048), 1, se_widths=_S4_SE),
    "mobileone_mu0": _variant((48, 64, 128, 384), 3, (2, 4, 6, 1)),
    "mobileone_mu1": _variant((48, 96, 192, 512), 2, (2, 6, 8, 1)),
    "mobileone_mu2": _variant((48, 128, 256, 512), 2, (2, 6, 8, 1)),
}


def variant_of(config: Mapping[str, Any]) -> str:
    """The variant with exactly this structure, else "custom".

    A fused network does not show how many branches it was trained with, so that is not compared
    for the inference form.
    """
    fused = config["form"] == "inference"
    for name, variant in VARIANTS.items():
        keys = [k for k in variant if not (fused and k == "num_conv_branches")]
        if all(config[k] == variant[k] for k in keys):
            return name
    return "custom"


def nearest_variant(config: Mapping[str, Any]) -> str:
    """The variant whose widths and depths differ least, for messages."""

    def distance(name: str) -> float:
        variant = VARIANTS[name]
        pairs = [*zip(config["widths"], variant["widths"], strict=False)]
        pairs += zip(config["depths"], variant["depths"], strict=False)
        off: float = sum(abs(a - b) / max(a, b, 1) for a, b in pairs)
        off += abs(len(config["widths"]) - len(variant["widths"]))
        off += len(config["se_widths"].keys() ^ variant["se_widths"].keys()) / 12
        same = config["num_conv_branches"] == variant["num_conv_branches"]
        return off + 0.1 * (not same)

    return min(VARIANTS, key=distance)

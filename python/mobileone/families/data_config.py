"""What a network expects of its input where its file does not say it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobileone.families import NAMES, all_families, find_family
from mobileone.families.variants import family_of_variant

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

__all__ = ["default_data_config"]


def default_data_config(
    arch: str, layout: str = "", channels: int = 3, architecture: str = ""
) -> DataConfig:
    """What the published weights of a variant expect; files hardly ever say it themselves.

    Args:
        arch: the variant, or what a family calls a custom network.
        layout: of the file; "" for none.
        channels: of the input.
        architecture: the name of the family; "" for the variant's.

    Each family's `data_config` says what its variants take. Networks of other than three channels:
    pixels in 0..1 as they are.
    """
    if architecture:
        family = find_family(architecture)
    else:
        custom = {family.custom: family for family in all_families()}
        family = family_of_variant(arch) or custom.get(arch) or find_family(NAMES[0])
    return family.data_config(arch, layout, channels)

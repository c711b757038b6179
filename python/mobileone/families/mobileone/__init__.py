"""MobileOne: Vasu et al., "MobileOne: An Improved One Millisecond Mobile Backbone", CVPR 2023."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import mobileone_graph, mobileone_variants, squeeze_excitation_widths
from mobileone.families.family import (
    CLASSES,
    COUNT,
    INFERENCE,
    NAMED_SIZES,
    SIZE,
    SIZES,
    Family,
    Field,
)

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.families.naming.table import Layout
    from mobileone.util.errors import Shape


class MobileOne(Family):
    """Blocks of parallel branches, which fold into one convolution each."""

    name = "mobileone"
    title = "MobileOne"
    custom = "custom"
    is_default = True
    fields = (
        Field("stem_width", SIZE),
        Field("widths", SIZES),
        Field("depths", SIZES),
        # Before a network is fused, its batch norms show how many branches it has.
        Field("num_conv_branches", COUNT, default=1, untold=(INFERENCE,)),
        Field("se_widths", NAMED_SIZES, default={}),
        Field("num_classes", CLASSES, free=True),
        Field("in_channels", SIZE, free=True),
    )
    options = ("se_depths",)
    min_size = 32  # the published nets' total stride: below it the last stage has no full pixel
    stem = (
        "stage0.rbr_conv.0.conv.weight",
        "stage0.rbr_scale.conv.weight",
        "stage0.reparam_conv.weight",
    )
    classifier = "linear."

    def graph(self, config: Mapping[str, Any]) -> Graph:
        fields = {field.name: config[field.name] for field in self.fields}
        return mobileone_graph(**fields, inference=config["form"] == INFERENCE)

    def variants(self) -> dict[str, dict[str, Any]]:
        return mobileone_variants()

    def complete(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        config: dict[str, Any] = self.defaults() | mobileone_variants().get(name, {}) | {**changes}
        for key in ("widths", "depths"):
            if not config.get(key):
                raise ValueError(
                    f"create_model('custom') needs {key}, a list with one entry per stage"
                )
        config.setdefault("stem_width", min(64, config["widths"][0]))
        se_depths = config.pop("se_depths", None)
        if se_depths is not None:
            config["se_widths"] = squeeze_excitation_widths(
                config["stem_width"], config["widths"], config["depths"], se_depths
            )
        return config

    def num_features(self, config: Mapping[str, Any]) -> int:
        return int(config["widths"][-1])

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """RGB with ImageNet's statistics, in every layout. Crops as in timm, which takes 0.875 for
        S0 and 0.9 for S1 to S4; mmpretrain crops 224 of 256.
        """
        from mobileone.data.config import DataConfig, plain_data_config

        if channels != 3:
            return plain_data_config(channels)
        wide = arch in {f"mobileone_s{i}" for i in range(1, 5)}
        return DataConfig(crop_pct=0.9 if wide and layout != "mmpretrain" else 0.875)

    def layouts(self) -> tuple[Layout, ...]:
        from mobileone.families.mobileone.layouts import LAYOUTS

        return LAYOUTS

    def look_alikes(self) -> tuple[tuple[str, str, str], ...]:
        from mobileone.families.mobileone.look_alikes import LOOK_ALIKES

        return LOOK_ALIKES

    def recover(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        from mobileone.families.mobileone.recover import recover

        return recover(shapes, source)

    def half_fused(self, shapes: Mapping[str, Shape]) -> str:
        from mobileone.families.mobileone.recover import half_fused

        return half_fused(shapes)


FAMILY = MobileOne()

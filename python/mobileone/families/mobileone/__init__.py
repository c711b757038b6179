"""MobileOne: Vasu et al., "MobileOne: An Improved One Millisecond Mobile Backbone", CVPR 2023."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import mobileone_graph, mobileone_variants, squeeze_excitation_widths
from mobileone.families.family import (
    ACTIVATION,
    CLASSES,
    COUNT,
    EPS,
    INFERENCE,
    NAMED_SIZES,
    SIZE,
    SIZES,
    STRIDES,
    Family,
    Field,
)

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.families.geometry import Convolution
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
    settings = (
        Field("activation", ACTIVATION, default="relu"),
        Field("eps", EPS, free=True, default=1e-5),
        Field("stem_stride", COUNT, free=True, default=2),
        Field("strides", STRIDES, free=True, default=[]),
        Field("dilations", NAMED_SIZES, free=True, default={}),
    )
    options = ("se_depths", "output_stride")
    min_size = 32  # the published nets' total stride: below it the last stage has no full pixel
    stem = (
        "stage0.rbr_conv.0.conv.weight",
        "stage0.rbr_scale.conv.weight",
        "stage0.reparam_conv.weight",
    )
    classifier = "linear."

    def graph(self, config: Mapping[str, Any]) -> Graph:
        return mobileone_graph(**self.given(config), inference=config["form"] == INFERENCE)

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
        return self.settled(config)

    def with_output_stride(
        self, config: Mapping[str, Any], output_stride: int, layout: str = ""
    ) -> dict[str, Any]:
        """All depthwise convolutions of a stage that has lost its stride are dilated, as in the
        encoders of DeepLabV3+ (Chen et al. 2018); timm's are not.
        """
        from mobileone.families.geometry import dilated_strides

        stages = dilated_strides(
            output_stride, [2] * len(config["depths"]), self.value(config, "stem_stride")
        )
        dilations = {
            f"stage{s + 1}.{2 * pair}": dilation
            for s, (_, dilation) in enumerate(stages)
            for pair in range(config["depths"][s])
            if dilation > 1 and layout != "timm"
        }
        strides = [stride for stride, _ in stages]
        return {**config, "strides": strides, "dilations": dilations}

    def strides(self, config: Mapping[str, Any]) -> list[int]:
        return self.value(config, "strides") or [2] * len(config["depths"])

    def geometry(self, convolutions: Mapping[str, Convolution]) -> dict[str, Any]:
        import re

        from mobileone.families.geometry import geometry_fields

        blocks = {}
        for name, conv in convolutions.items():
            match = re.fullmatch(r"(stage\d+(?:\.\d+)?)\.(?:rbr_conv\.0\.conv|reparam_conv)", name)
            if match:
                blocks[match.group(1)] = conv
        stages = max((int(b[5:].partition(".")[0]) for b in blocks), default=0)
        return geometry_fields(
            blocks.get("stage0"),
            [blocks.get(f"stage{s}.0") for s in range(1, stages + 1)],
            {b: c for b, c in blocks.items() if "." in b and int(b.rpartition(".")[2]) % 2 == 0},
            [2] * stages,
        )

    def _is_default(self, name: str, value: Any, default: Any) -> bool:
        return bool(value == default or (name == "strides" and set(value) == {2}))

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

"""MobileViT: Mehta & Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly
Vision Transformer", ICLR 2022.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import mobilevit_graph, mobilevit_variants
from mobileone.families.family import (
    ACTIVATION,
    CLASSES,
    COUNT,
    EPS,
    FACTOR,
    INFERENCE,
    NAMED_SIZES,
    PAIR,
    SHARE,
    SIZE,
    SIZE_OR_NONE,
    SIZES,
    SIZES_OR_NONE,
    STRIDES,
    TRAIN_TIME,
    Family,
    Field,
)

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.families.geometry import Convolution
    from mobileone.families.naming.table import Layout
    from mobileone.util.errors import Shape

_BOTH = (TRAIN_TIME, INFERENCE)


def _strides(layers: int) -> list[int]:
    """Of each layer's first block, as published."""
    return [1, *[2] * (layers - 1)]


class MobileVit(Family):
    """MobileNetV2 blocks, and transformers over patches."""

    name = "mobilevit"
    title = "MobileViT"
    custom = "mobilevit_custom"
    fields = (
        Field("stem_width", SIZE),
        Field("widths", SIZES),
        Field("depths", SIZES),
        Field("transformer_widths", SIZES_OR_NONE),
        Field("ffn_widths", SIZES_OR_NONE),
        Field("transformer_depths", SIZES_OR_NONE),
        # Only its product with the channels shows, rounded to a multiple of 8.
        Field("expansion", FACTOR, untold=_BOTH),
        Field("head_width", SIZE_OR_NONE, absent=0),
        Field(
            "heads",
            COUNT,
            untold=_BOTH,
            unseen=4,
            attributes=(("num_heads",), ("num_attention_heads",)),
        ),
        Field(
            "patch",
            PAIR,
            untold=_BOTH,
            unseen=[2, 2],
            attributes=(("patch_size",), ("patch_h", "patch_w"), ("patch_height", "patch_width")),
        ),
        Field("dropout", SHARE, free=True, default=0.0, untold=_BOTH),
        Field("ffn_dropout", SHARE, free=True, default=0.0, untold=_BOTH),
        Field("classifier_dropout", SHARE, free=True, default=0.0, untold=_BOTH),
        Field("num_classes", CLASSES, free=True),
        Field("in_channels", SIZE, free=True),
    )
    settings = (
        Field("activation", ACTIVATION, default="silu"),
        Field("eps", EPS, free=True, default=1e-5),
        Field("layer_norm_eps", EPS, free=True, default=1e-5),
        Field("stem_stride", COUNT, free=True, default=2),
        Field("strides", STRIDES, free=True, default=[]),
        Field("dilations", NAMED_SIZES, free=True, default={}),
    )
    options = ("architecture", "output_stride")
    min_size = 32  # the published nets' total stride: below it the last stage has no full pixel
    stem = ("conv_1.block.conv.weight",)
    classifier = "classifier.fc."

    def graph(self, config: Mapping[str, Any]) -> Graph:
        return mobilevit_graph(**self.given(config), inference=config["form"] == INFERENCE)

    def variants(self) -> dict[str, dict[str, Any]]:
        return mobilevit_variants()

    def complete(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        variants = mobilevit_variants()
        config: dict[str, Any] = self.mark | self.defaults()
        config |= variants.get(name, variants["mobilevit_s"]) | {**changes}
        for field in self.fields:
            if field.kind in (SIZES, SIZES_OR_NONE, PAIR):
                value = config[field.name]
                if not isinstance(value, list | tuple):
                    raise ValueError(f"{field.name} is {value!r}; expected a list")
                config[field.name] = list(value)  # as it comes back from a file
        if len(config["patch"]) != 2:
            raise ValueError(f"patch is {config['patch']}; expected (height, width)")
        return self.settled(config)

    def with_output_stride(
        self, config: Mapping[str, Any], output_stride: int, layout: str = ""
    ) -> dict[str, Any]:
        """As in the authors' segmentation networks: where a layer has lost its stride, its first
        block is dilated as far as the layers before it, the rest is as it was. timm dilates the
        first convolution of MobileViT blocks, too.
        """
        from mobileone.families.geometry import dilated_strides

        published = _strides(len(config["widths"]))
        stages = dilated_strides(output_stride, published, self.value(config, "stem_stride"))
        before = [1, *(dilation for _, dilation in stages)]
        dilations = {
            f"layer_{layer + 1}.0": before[layer]
            for layer, (_, dilation) in enumerate(stages)
            if dilation > before[layer] > 1
        }
        if layout == "timm":
            dilations |= {
                f"layer_{layer + 1}.{block}": dilation
                for layer, (_, dilation) in enumerate(stages)
                for block in range(1, config["depths"][layer] + 1)
                if dilation > 1
                and (block < config["depths"][layer] or config["transformer_widths"][layer])
            }
        return {**config, "strides": [stride for stride, _ in stages], "dilations": dilations}

    def strides(self, config: Mapping[str, Any]) -> list[int]:
        return self.value(config, "strides") or _strides(len(config["widths"]))

    def geometry(self, convolutions: Mapping[str, Convolution]) -> dict[str, Any]:
        import re

        from mobileone.families.geometry import geometry_fields

        blocks = {}
        for name, conv in convolutions.items():
            match = re.fullmatch(
                r"(layer_\d+\.\d+)\.(?:block|local_rep)\.conv_3x3\.block\.conv", name
            )
            if match:
                blocks[match.group(1)] = conv
        layers = max((int(b[6:].partition(".")[0]) for b in blocks), default=0)
        return geometry_fields(
            convolutions.get("conv_1.block.conv"),
            [blocks.get(f"layer_{n}.0") for n in range(1, layers + 1)],
            blocks,
            _strides(layers),
        )

    def _is_default(self, name: str, value: Any, default: Any) -> bool:
        published = name == "strides" and list(value) == _strides(len(value))
        return bool(value == default or published)

    def num_features(self, config: Mapping[str, Any]) -> int:
        return int(config["head_width"] or config["widths"][-1])

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """Pixels in 0..1 without statistics, BGR except in timm's layout."""
        from dataclasses import replace

        from mobileone.data.config import plain_data_config

        plain = replace(plain_data_config(channels), input_size=(256, 256))
        if channels != 3:
            return plain
        if layout == "timm":
            return replace(plain, crop_pct=0.9, interpolation="bicubic")
        return replace(plain, channel_order="BGR", crop_pct=256 / 288)

    def layouts(self) -> tuple[Layout, ...]:
        from mobileone.families.mobilevit.layouts import LAYOUTS

        return LAYOUTS

    def look_alikes(self) -> tuple[tuple[str, str, str], ...]:
        from mobileone.families.mobilevit.look_alikes import LOOK_ALIKES

        return LOOK_ALIKES

    def recover(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        from mobileone.families.mobilevit.recover import recover

        return recover(shapes, source)

    def half_fused(self, shapes: Mapping[str, Shape]) -> str:
        from mobileone.families.mobilevit.recover import half_fused

        return half_fused(shapes)


FAMILY = MobileVit()

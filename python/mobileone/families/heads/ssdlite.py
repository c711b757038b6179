"""SSDLite: Liu et al., "SSD: Single Shot MultiBox Detector", ECCV 2016, with the separable
convolutions of Sandler et al., "MobileNetV2", CVPR 2018, section 6.2; as in section 4.2 of
MobileViT's paper.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobileone._core import ssdlite_graph
from mobileone.families.data_config import default_data_config
from mobileone.families.family import CLASSES, EPS, SIZE, SIZES, Field
from mobileone.families.heads.head import BACKBONE, BackboneField, Head
from mobileone.families.naming.table import Layout

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.util.errors import Shape

_WIDTHS = [512, 256, 256, 128, 128, 64]
_ANCHORS = [6, 6, 6, 6, 6, 4]


class SsdLite(Head):
    """Boxes around the pixels of six maps, with a score for every class."""

    name = "ssdlite"
    title = "SSDLite"
    task = "detection"
    fields = (
        BackboneField("backbone", BACKBONE),
        # Not "widths", which are the backbone's.
        Field("head_widths", SIZES, default=_WIDTHS),
        Field("anchors", SIZES, default=_ANCHORS),
        Field("num_classes", CLASSES, free=True, default=81),
        Field("in_channels", SIZE, free=True, default=3),
    )
    settings = (Field("head_eps", EPS, free=True, default=1e-5),)
    classifier = "ssd_heads."

    def head_graph(self, backbone: Graph, config: Mapping[str, Any]) -> Graph:
        fields = self.head_fields(config)
        return ssdlite_graph(backbone, widths=fields.pop("head_widths"), **fields)

    def recover_head(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        last = len(_WIDTHS) - 1
        heads = [f"ssd_heads.{n}.loc_cls_layer.pw_conv.block.conv.weight" for n in range(last)]
        heads.append(f"ssd_heads.{last}.loc_cls_layer.block.conv.weight")
        found = [shapes.get(name, ()) for name in heads]
        widths = [s[1] if len(s) == 4 else w for s, w in zip(found, _WIDTHS, strict=True)]
        return {
            "head_widths": widths,
            "anchors": list(_ANCHORS),
            "num_classes": _num_classes([s[0] if len(s) == 4 else 0 for s in found]),
        }

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """Whole pictures, squeezed to 320 x 320."""
        usual = default_data_config(arch.removeprefix(f"{self.name}_"), channels=channels)
        return replace(usual, input_size=(320, 320), crop_pct=1.0, interpolation="bicubic")

    def layouts(self) -> tuple[Layout, ...]:
        from mobileone.families.heads.tables import SSDLITE

        return SSDLITE


def _num_classes(channels: list[int]) -> int:
    """Of heads with that many channels; 0 where they are not of the usual numbers of anchors."""
    counts = {n // a - 4 for n, a in zip(channels, _ANCHORS, strict=True) if n and n % a == 0}
    return max(counts.pop(), 0) if len(counts) == 1 else 0


FAMILY = SsdLite()

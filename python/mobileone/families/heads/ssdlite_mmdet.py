"""mmdet's SSDLite (its config ssdlite_mobilenetv2-scratch_8xb24-600e_coco) on other backbones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobileone._core import ssdlite_mmdet_graph
from mobileone.families.data_config import default_data_config
from mobileone.families.family import CLASSES, EPS, SIZE, SIZES, Field
from mobileone.families.heads.head import BACKBONE, BackboneField, Head
from mobileone.families.naming.table import Layout
from mobileone.tasks.detection.codes import MMDET

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.util.errors import Shape

_WIDTHS = [512, 256, 256, 128]
_ANCHORS = 6


class SsdLiteMmdet(Head):
    """Boxes around the pixels of six maps, scores in maps of their own, the background last."""

    name = "ssdlite_mmdet"
    title = "mmdet's SSDLite"
    task = "detection"
    box_code = MMDET
    fields = (
        BackboneField("backbone", BACKBONE),
        # Of the maps after the backbone's.
        Field("head_widths", SIZES, default=_WIDTHS),
        Field("num_classes", CLASSES, free=True, default=81),
        Field("in_channels", SIZE, free=True, default=3),
    )
    settings = (Field("head_eps", EPS, free=True, default=1e-3),)
    classifier = "bbox_head."

    def head_graph(self, backbone: Graph, config: Mapping[str, Any]) -> Graph:
        fields = self.head_fields(config)
        return ssdlite_mmdet_graph(backbone, widths=fields.pop("head_widths"), **fields)

    def recover_head(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        names = [f"neck.extra_layers.{n}.1.pointwise_conv.conv.weight" for n in range(len(_WIDTHS))]
        found = [shapes.get(name, ()) for name in names]
        scores = shapes.get("bbox_head.cls_convs.0.1.weight", ())
        return {
            "head_widths": [
                s[0] if len(s) == 4 else w for s, w in zip(found, _WIDTHS, strict=True)
            ],
            "num_classes": scores[0] // _ANCHORS if len(scores) == 4 else 0,
        }

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """Whole pictures, squeezed to 320 x 320, with ImageNet's mean and deviation in RGB whatever
        the backbone.
        """
        usual = default_data_config("mobileone_s0", channels=channels)
        return replace(usual, input_size=(320, 320), crop_pct=1.0, interpolation="bilinear")

    def layouts(self) -> tuple[Layout, ...]:
        from mobileone.families.heads.tables import SSDLITE_MMDET

        return SSDLITE_MMDET


FAMILY = SsdLiteMmdet()

"""DeepLabV3: Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation",
arXiv:1706.05587; on MobileViT in section 4.3 of its paper, on MobileOne in Table 11 of its.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobileone._core import deeplabv3_graph
from mobileone.families.data_config import default_data_config
from mobileone.families.family import CLASSES, EPS, FLAG, SIZE, SIZES, Field
from mobileone.families.heads.head import BACKBONE, BackboneField, Head
from mobileone.families.naming.table import Layout

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.util.errors import Shape

_BOTH = ("train-time", "inference")
# What release 0.4 of the authors' library builds, which shows in the width alone: output stride 8.
_WIDE, _WIDE_DILATIONS, _WIDE_STRIDE = 512, [12, 24, 36], 8
_CLASSIFIER = "seg_head.classifier.classifier.block.conv.weight"
_PROJECT = "seg_head.aspp.aspp_layer.project.block.conv.weight"


class DeepLabV3(Head):
    """Parallel dilated convolutions of a backbone's last map, a class for every pixel."""

    name = "deeplabv3"
    title = "DeepLabV3"
    task = "segmentation"
    dropped = ("seg_head.aux_head.",)
    described_as = ("mobilevit",)
    fields = (
        BackboneField("backbone", BACKBONE),
        Field("aspp_width", SIZE, default=256),
        Field("aspp_dilations", SIZES, free=True, default=[6, 12, 18], untold=_BOTH),
        Field("num_classes", CLASSES, free=True, default=21),
        Field("in_channels", SIZE, free=True, default=3),
    )
    settings = (
        # Whether the corner pixels of the logits and of the picture are the same points.
        Field("align_corners", FLAG, free=True, default=False),
        Field("head_eps", EPS, free=True, default=1e-5),
    )
    classifier = "seg_head.classifier."

    def head_graph(self, backbone: Graph, config: Mapping[str, Any]) -> Graph:
        fields = self.head_fields(config)
        fields.pop("align_corners", None)
        return deeplabv3_graph(backbone, **fields)

    def recover_head(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        project = shapes.get(_PROJECT, ())
        classifier = shapes.get(_CLASSIFIER, ())
        return {
            "aspp_width": project[0] if len(project) == 4 else 256,
            "num_classes": classifier[0] if len(classifier) == 4 else 0,
        }

    def recover(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        found = super().recover(shapes, source)
        wide = found["aspp_width"] == _WIDE
        stride = _WIDE_STRIDE if wide else 16
        found = self.with_output_stride(found, stride)
        return found | ({"aspp_dilations": list(_WIDE_DILATIONS)} if wide else {})

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """Whole pictures at about 512 pixels; RGB in release 0.4 of the authors' library."""
        backbone = arch.removeprefix(f"{self.name}_")
        usual = default_data_config(backbone, channels=channels)
        order = "RGB" if layout == "cvnets-0.4" and channels == 3 else usual.channel_order
        sized = replace(usual, input_size=(512, 512), crop_pct=512 / 544, interpolation="bilinear")
        return replace(sized, channel_order=order)

    def layouts(self) -> tuple[Layout, ...]:
        from mobileone.families.heads.tables import DEEPLABV3

        return DEEPLABV3


FAMILY = DeepLabV3()

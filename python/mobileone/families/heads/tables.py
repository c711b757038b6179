"""Key layouts of segmenters and detectors: a table for the head, and their backbones' tables.

The canonical names are those of apple/ml-cvnets' first release, with the backbone's own canonical
names under "encoder.": MobileViT's are that library's, MobileOne's those of apple/ml-mobileone.
"""

from __future__ import annotations

from mobileone.families import all_families
from mobileone.families.heads.head import PREFIX
from mobileone.families.naming.table import Layout, cross

_LOWEST = {"s": 1, "l": 1}


def _encoder(layout: str, prefix: str) -> dict[str, str]:
    """The backbones' tables of that layout, less their classifiers, under the prefix."""
    return {
        PREFIX + ours: prefix + own
        for family in all_families()
        for table in family.layouts()
        if table.name == layout
        for ours, own in table.templates.items()
        if not ours.startswith((family.classifier, "conv_1x1_exp."))
    }


_ASPP = "seg_head.aspp.aspp_layer"
_UNITS = {
    f"{_ASPP}.convs.{{n}}.block": f"{_ASPP}.convs.{{n}}.block",
    f"{_ASPP}.convs.{{n}}.aspp_pool.conv_1x1.block": (
        f"{_ASPP}.convs.{{n}}.aspp_pool.conv_1x1.block"
    ),
    f"{_ASPP}.project.block": f"{_ASPP}.project.block",
}
_PARTS = {"conv.{wb}": "conv.{wb}", "norm.{bn}": "norm.{bn}"}
_CLASSIFIER = "seg_head.classifier.classifier.block.conv.{wb}"


def _cvnets_deeplabv3(name: str, encoder: str, classifier: str) -> Layout:
    return Layout(
        architecture="deeplabv3",
        name=name,
        templates=_encoder(encoder, PREFIX) | cross(_UNITS, _PARTS) | {_CLASSIFIER: classifier},
        lowest=_LOWEST,
    )


_TRANSFORMERS_ASPP = "segmentation_head.aspp"
_TRANSFORMERS = Layout(
    architecture="deeplabv3",
    name="transformers",
    templates=_encoder("transformers", "")
    | cross(
        {
            f"{_ASPP}.convs.{{n}}.block": f"{_TRANSFORMERS_ASPP}.convs.{{n}}",
            f"{_ASPP}.convs.{{n}}.aspp_pool.conv_1x1.block": (
                f"{_TRANSFORMERS_ASPP}.convs.{{n}}.conv_1x1"
            ),
            f"{_ASPP}.project.block": f"{_TRANSFORMERS_ASPP}.project",
        },
        {"conv.{wb}": "convolution.{wb}", "norm.{bn}": "normalization.{bn}"},
    )
    | {_CLASSIFIER: "segmentation_head.classifier.convolution.{wb}"},
    lowest=_LOWEST,
    channel_order="BGR",
)

# "cvnets" is the library's first release, "cvnets-0.4" the one whose classifier is less deep.
DEEPLABV3 = (
    _cvnets_deeplabv3("cvnets", "cvnets", _CLASSIFIER),
    _cvnets_deeplabv3("cvnets-0.4", "cvnets", "seg_head.classifier.block.conv.{wb}"),
    _cvnets_deeplabv3("apple", "apple", _CLASSIFIER),
    _TRANSFORMERS,
)

_SSD_UNITS = (
    "extra_layers.os_{n}.dw_conv.block",
    "extra_layers.os_{n}.pw_conv.block",
    "ssd_heads.{n}.proj_layer.block",
    "ssd_heads.{n}.loc_cls_layer.dw_conv.block",
)
_SSD_PARTS = (
    "extra_layers.os_-{n}.1.block.conv.weight",
    "ssd_heads.{n}.loc_cls_layer.pw_conv.block.conv.{wb}",
    "ssd_heads.{n}.loc_cls_layer.block.conv.{wb}",
)


def _ssdlite(name: str) -> Layout:
    return Layout(
        architecture="ssdlite",
        name=name,
        templates=_encoder(name, PREFIX)
        | cross({unit: unit for unit in _SSD_UNITS}, _PARTS)
        | {part: part for part in _SSD_PARTS},
        lowest=_LOWEST,
    )


SSDLITE = (_ssdlite("cvnets"), _ssdlite("apple"))

_MMDET_UNITS = (
    "neck.extra_layers.{n}.0",
    "neck.extra_layers.{n}.1.depthwise_conv",
    "neck.extra_layers.{n}.1.pointwise_conv",
    "bbox_head.cls_convs.{n}.0",
    "bbox_head.reg_convs.{n}.0",
)
_MMDET_LAST = ("bbox_head.cls_convs.{n}.1.{wb}", "bbox_head.reg_convs.{n}.1.{wb}")


def _mmdet(name: str, encoder: str, prefix: str) -> Layout:
    parts = {part: part for part in ("conv.{wb}", "bn.{bn}")}
    return Layout(
        architecture="ssdlite_mmdet",
        name=name,
        templates=_encoder(encoder, prefix)
        | cross({unit: unit for unit in _MMDET_UNITS}, parts)
        | {last: last for last in _MMDET_LAST},
        lowest=_LOWEST,
    )


# "mmdet" has mmpretrain's backbones, whose own names begin with "backbone."; "mmdet-apple" the
# MobileOne of its authors. The others are for files of this package.
SSDLITE_MMDET = (
    _mmdet("mmdet", "mmpretrain", ""),
    _mmdet("mmdet-apple", "apple", "backbone."),
    _mmdet("apple", "apple", PREFIX),
    _mmdet("cvnets", "cvnets", PREFIX),
)

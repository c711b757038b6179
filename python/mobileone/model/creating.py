"""Networks with random weights: classifiers, segmenters, detectors."""

from __future__ import annotations

from typing import Any

from mobileone.model.model import Model

__all__ = ["create_detector", "create_model", "create_segmenter"]


def create_model(
    name: str, *, num_classes: int = 1000, seed: int | None = None, **config: Any
) -> Model:
    """A train-time network with random weights.

    Args:
        name: a published variant (`list_models`), whose configuration the rest changes, or
            "custom" (a MobileOne, for which `widths` and `depths` are needed), or
            "mobilevit_custom" (a MobileViT, starting from mobilevit_s).
        num_classes: number of logits; 0 for no classifier: results are the pooled features.
        seed: of the weights; None means 0. The same on every machine. Running statistics are those
            of a fixed noise image, so that activations stay near 1 at every layer.
        config: `in_channels`, `form` ("train-time" or "inference"), `stem_width`, `widths`
            (channels per stage), `depths` (blocks per stage: MobileOne's depthwise-pointwise
            pairs, MobileViT's MobileNetV2 blocks).
            Of MobileOne: `num_conv_branches` (k, the paper's Table 2), `se_depths` (SE in the
            last n pairs of each stage) or `se_widths` (block -> squeezed width).
            Of MobileViT, lists per stage: `transformer_widths` (d; 0 for no MobileViT block),
            `ffn_widths`, `transformer_depths` (L); and `expansion`, `head_width`, `heads`,
            `patch` (height, width), `dropout`, `ffn_dropout`, `classifier_dropout`.
            Of both: `activation`, `eps`, `output_stride` (or `strides` per stage and `dilations` by
            block), `stem_stride`; of MobileViT `layer_norm_eps`.

    Raises:
        ValueError: an unknown name or field, or a value that makes no network.
    """
    from mobileone.network.create import create_bundle

    return Model.of(create_bundle(name, num_classes, seed, config))


def create_segmenter(
    backbone: str,
    *,
    head: str = "deeplabv3",
    num_classes: int = 21,
    output_stride: int = 16,
    seed: int | None = None,
    backbone_weights: Any = None,
    **config: Any,
) -> Model:
    """A train-time segmentation network with random weights: a class for every pixel.

    ``model(x)`` gives logits [N, num_classes, H / output_stride, W / output_stride],
    `Model.segment` a class map at the picture's size.

    Args:
        backbone: what `create_model` takes, any MobileOne or MobileViT.
        head: "deeplabv3" (Chen et al. 2017, section 3.3).
        num_classes: with the background, where there is one.
        output_stride: from the image to the backbone's last map: 32, 16 or 8. Strides beyond it
            become dilations.
        seed: of the weights; None means 0.
        backbone_weights: a classifier's checkpoint or Model of that backbone, which its weights
            come from.
        config: `aspp_width`, `aspp_dilations`, `align_corners` (of the upsampled logits),
            `head_eps`; and fields of the backbone, as in `create_model`.

    Raises:
        ValueError: an unknown name or field, a value that makes no network, or weights of
            another backbone.
    """
    from mobileone.checkpoint.compose import create_on_backbone

    fields = {"num_classes": num_classes, "output_stride": output_stride, **config}
    return Model.of(
        create_on_backbone("segmentation", head, backbone, seed, fields, backbone_weights)
    )


def create_detector(
    backbone: str,
    *,
    head: str = "ssdlite",
    layout: str = "cvnets",
    num_classes: int = 81,
    seed: int | None = None,
    backbone_weights: Any = None,
    **config: Any,
) -> Model:
    """A train-time detection network with random weights: boxes with scores for every class.

    ``model(x)`` gives a map for each of the six resolutions, by name, of mmdet's layout one of
    scores and one of offsets; `Model.detect` boxes.

    Args:
        backbone: what `create_model` takes, any MobileOne or MobileViT with maps of strides 16
            and 32.
        head: "ssdlite".
        layout: whose SSDLite: "cvnets", as the authors of MobileViT build it, or "mmdet": other
            maps after the backbone, anchors, activations and scores (docs/tasks.md).
        num_classes: with the background, whose scores are the first ones in cvnets' layout, the
            last ones in mmdet's.
        seed: of the weights; None means 0.
        backbone_weights: a classifier's checkpoint or Model of that backbone, which its weights
            come from.
        config: `head_widths`, of each map's head, `head_eps`; and fields of the backbone, as in
            `create_model`.

    Raises:
        ValueError: as `create_segmenter`.
    """
    from mobileone.checkpoint.compose import create_on_backbone

    if layout not in ("cvnets", "mmdet"):
        raise ValueError(f"layout is {layout!r}; expected 'cvnets' or 'mmdet'")
    fields = {"num_classes": num_classes, **config}
    head = f"{head}_mmdet" if layout == "mmdet" else head
    return Model.of(create_on_backbone("detection", head, backbone, seed, fields, backbone_weights))

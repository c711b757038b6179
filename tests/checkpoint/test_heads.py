"""Checkpoints of segmenters and detectors: every layout, both ways, and what is refused."""

from __future__ import annotations

from functools import cache, partial
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from cases import images
from mobileone.verification.rounding import rounding_bound
from numpy.typing import NDArray

# By head, backbone and layout: a few keys, written down from the programs that save them.
KEYS = {
    ("deeplabv3", "mobilevit_xxs", "cvnets"): (
        "encoder.conv_1.block.conv.weight",
        "encoder.layer_5.1.global_rep.2.pre_norm_mha.1.qkv_proj.bias",
        "seg_head.aspp.aspp_layer.convs.0.block.norm.running_var",
        "seg_head.aspp.aspp_layer.convs.3.block.conv.weight",
        "seg_head.aspp.aspp_layer.convs.4.aspp_pool.conv_1x1.block.norm.weight",
        "seg_head.aspp.aspp_layer.project.block.conv.weight",
        "seg_head.classifier.classifier.block.conv.bias",
    ),
    ("deeplabv3", "mobilevit_xxs", "cvnets-0.4"): ("seg_head.classifier.block.conv.weight",),
    ("deeplabv3", "mobilevit_xxs", "transformers"): (
        "mobilevit.conv_stem.convolution.weight",
        "mobilevit.encoder.layer.4.transformer.layer.2.attention.attention.key.weight",
        "segmentation_head.aspp.convs.1.convolution.weight",
        "segmentation_head.aspp.convs.2.normalization.running_mean",
        "segmentation_head.aspp.convs.4.conv_1x1.convolution.weight",
        "segmentation_head.aspp.project.normalization.num_batches_tracked",
        "segmentation_head.classifier.convolution.bias",
    ),
    ("deeplabv3", "mobileone_s4", "apple"): (
        "encoder.stage3.10.se.reduce.bias",
        "seg_head.classifier.classifier.block.conv.bias",
    ),
    ("deeplabv3", "mobileone_s0", "cvnets"): ("encoder.layer_2.0.rbr_conv.3.block.norm.weight",),
    ("ssdlite", "mobilevit_xxs", "cvnets"): (
        "extra_layers.os_64.dw_conv.block.norm.weight",
        "extra_layers.os_256.pw_conv.block.conv.weight",
        "extra_layers.os_-1.1.block.conv.weight",
        "ssd_heads.0.proj_layer.block.norm.running_mean",
        "ssd_heads.4.loc_cls_layer.dw_conv.block.conv.weight",
        "ssd_heads.0.loc_cls_layer.pw_conv.block.conv.bias",
        "ssd_heads.5.loc_cls_layer.block.conv.weight",
    ),
    ("ssdlite", "mobileone_s0", "apple"): ("encoder.stage0.rbr_scale.bn.running_var",),
    ("ssdlite", "mobileone_s0", "cvnets"): ("encoder.conv_1.rbr_scale.block.norm.running_var",),
    ("ssdlite_mmdet", "mobileone_s0", "mmdet"): (
        "backbone.stage0.branch_scale.norm.running_var",
        "neck.extra_layers.0.0.bn.weight",
        "neck.extra_layers.1.1.pointwise_conv.bn.running_mean",
        "neck.extra_layers.3.1.depthwise_conv.conv.weight",
        "bbox_head.cls_convs.0.0.conv.weight",
        "bbox_head.cls_convs.5.0.bn.num_batches_tracked",
        "bbox_head.reg_convs.5.1.bias",
    ),
    ("ssdlite_mmdet", "mobileone_s0", "mmdet-apple"): (
        "backbone.stage0.rbr_scale.bn.running_var",
        "bbox_head.cls_convs.3.1.weight",
    ),
    ("ssdlite_mmdet", "mobilevit_xxs", "mmdet"): ("neck.extra_layers.2.0.conv.weight",),
}
CREATE = {
    "deeplabv3": mobileone.create_segmenter,
    "ssdlite": mobileone.create_detector,
    "ssdlite_mmdet": partial(mobileone.create_detector, layout="mmdet"),
}


@cache
def network(head: str, backbone: str, classes: int = 6) -> mobileone.Model:
    return CREATE[head](backbone, num_classes=classes, seed=3)


def assert_equal_bits(a: mobileone.Model, b: mobileone.Model) -> None:
    ours, theirs = a.state_dict(), b.state_dict()
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name])


@pytest.mark.parametrize(("head", "backbone", "layout"), KEYS)
def test_every_layout_both_ways(head: str, backbone: str, layout: str, tmp_path: Path) -> None:
    model = network(head, backbone)
    for form in (model, mobileone.reparameterize(model)):
        state = form.state_dict(layout)
        if form is model:
            assert set(KEYS[head, backbone, layout]) <= state.keys()
        loaded = mobileone.load(state)
        assert loaded.arch == f"{head}_{backbone}"
        assert loaded.report.layout == layout
        assert loaded.form == form.form
        assert_equal_bits(loaded, form)
        file = tmp_path / "net.pth"
        form.save(file, layout=layout)
        again = mobileone.load(file)
        assert again.config == form.config
        assert again.data_config == form.data_config
        assert_equal_bits(again, form)


@pytest.mark.parametrize("prefix", ["module.", "state_dict.model."])
def test_a_prefix_is_removed(prefix: str) -> None:
    model = network("ssdlite", "mobileone_s0")
    loaded = mobileone.load({prefix + key: w for key, w in model.state_dict("cvnets").items()})
    assert_equal_bits(loaded, model)
    assert loaded.report.prefixes == (prefix,)


def test_a_head_that_only_training_uses_is_dropped_and_reported() -> None:
    model = network("deeplabv3", "mobilevit_xxs")
    state = dict(model.state_dict("cvnets-0.4"))
    extra = "seg_head.aux_head.1.block.conv.weight"
    state[extra] = np.zeros((21, 4, 1, 1), np.float32)
    loaded = mobileone.load(state)
    assert_equal_bits(loaded, model)
    assert loaded.report.ignored == (extra,)


def test_the_first_release_was_fed_bgr_and_the_fourth_rgb() -> None:
    model = network("deeplabv3", "mobilevit_xxs")
    for layout, order in (("cvnets", "BGR"), ("cvnets-0.4", "RGB"), ("transformers", "BGR")):
        assert mobileone.load(model.state_dict(layout)).data_config.channel_order == order
    assert network("deeplabv3", "mobileone_s0").data_config.channel_order == "RGB"


@pytest.mark.parametrize("head", CREATE)
def test_other_classes_are_refused(head: str) -> None:
    state = network(head, "mobilevit_xxs").state_dict()
    with pytest.raises(mobileone.CheckpointError, match=r"classifier|ssd_heads|bbox_head"):
        mobileone.load(state, num_classes=9)
    with pytest.raises(mobileone.CheckpointError, match=f"expected {head}_mobilevit_s"):
        mobileone.load(network(head, "mobileone_s0").state_dict(), arch=f"{head}_mobilevit_s")
    with pytest.warns(UserWarning, match="started anew"):
        model = mobileone.load(state, num_classes=9, strict=False)
    assert model.num_classes == 9


def test_mmdets_and_cvnets_ssdlite_are_told_apart() -> None:
    """Their backgrounds are at other ends: one must not be taken for the other."""
    mmdet, cvnets = (network(head, "mobileone_s0") for head in ("ssdlite_mmdet", "ssdlite"))
    loaded = mobileone.load(mmdet.state_dict("mmdet"))
    assert "mmdet" in loaded.report.layout
    assert loaded.arch == "ssdlite_mmdet_mobileone_s0"
    assert loaded.data_config.mean == (0.485, 0.456, 0.406)
    with pytest.raises(mobileone.CheckpointError, match="expected ssdlite_mobileone_s0"):
        mobileone.load(mmdet.state_dict("mmdet"), arch="ssdlite_mobileone_s0")
    with pytest.raises(mobileone.CheckpointError, match="expected ssdlite_mmdet_mobileone_s0"):
        mobileone.load(cvnets.state_dict("cvnets"), arch="ssdlite_mmdet_mobileone_s0")
    with pytest.raises(ValueError, match="layout is 'torchvision'; expected 'cvnets' or 'mmdet'"):
        mobileone.create_detector("mobileone_s0", layout="torchvision")


def test_names_of_classes_stay_with_their_classifier(tmp_path: Path) -> None:
    """Fine-tuning on other classes begins with a file that has names of its own."""
    model = mobileone.create_model("mobileone_mu0", num_classes=3)
    model.class_names = ("a", "b", "c")
    model.save(file := tmp_path / "m.safetensors")
    assert mobileone.load(file, num_classes=3).class_names == model.class_names
    with pytest.warns(UserWarning, match="started anew"):
        new = mobileone.load(file, num_classes=5, strict=False)
    assert (new.num_classes, new.class_names) == (5, None)
    backbone = mobileone.load(file, num_classes=0)
    assert (backbone.num_classes, backbone.class_names) == (0, None)


def test_a_missing_part_is_named() -> None:
    state = dict(network("ssdlite", "mobilevit_xxs").state_dict())
    del state["ssd_heads.2.loc_cls_layer.pw_conv.block.conv.bias"]
    with pytest.raises(mobileone.CheckpointError, match=r"ssd_heads\.2\.loc_cls_layer\.pw_conv"):
        mobileone.load(state)


def test_the_backbone_alone() -> None:
    model = network("deeplabv3", "mobilevit_xxs")
    backbone = mobileone.load(model.state_dict("transformers"), num_classes=0, strict=False)
    assert backbone.arch == "mobilevit_xxs"
    x = images(1, (32, 32))
    np.testing.assert_array_equal(backbone.features(x)[1], model.features(x)[1])


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
@pytest.mark.parametrize(("output_stride", "size"), [(16, (512, 512)), (8, (96, 160))])
def test_a_folder_of_transformers(
    output_stride: int, size: tuple[int, int], suffix: str, tmp_path: Path
) -> None:
    """As `save_pretrained` writes it, and the file that older versions wrote."""
    transformers = pytest.importorskip("transformers")
    if size == (512, 512) and suffix == "bin":
        size = (384, 640)
    torch.manual_seed(0)
    config = transformers.MobileViTConfig(
        hidden_sizes=[64, 80, 96],
        neck_hidden_sizes=[16, 16, 24, 48, 64, 80, 320],
        expand_ratio=2.0,
        output_stride=output_stride,
        num_labels=5,
        initializer_range=0.2,
        layer_norm_eps=1e-6,
        image_size=512,
        id2label={i: f"class {i}" for i in range(5)},
    )
    module = transformers.MobileViTForSemanticSegmentation(config).eval()
    for buffer, low, high in _statistics(module):
        buffer.uniform_(low, high)
    module.save_pretrained(tmp_path)
    if suffix == "bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(module.state_dict(), tmp_path / "pytorch_model.bin")
    model = mobileone.load(tmp_path)
    assert model.arch == "deeplabv3_mobilevit_xxs"
    assert model.class_names == tuple(f"class {i}" for i in range(5))
    assert model.data_config.channel_order == "BGR"
    x = images(1, size)
    with torch.no_grad():
        expected = module.double()(pixel_values=torch.from_numpy(x).double()).logits.numpy()
    for form in (model, mobileone.reparameterize(model)):
        assert_within(form, x, expected)


def _statistics(module: torch.nn.Module) -> list[tuple[torch.Tensor, float, float]]:
    ranges = {"running_mean": (-0.5, 0.5), "running_var": (0.5, 2.0)}
    named = ((name.rpartition(".")[2], buffer) for name, buffer in module.named_buffers())
    return [(buffer, *ranges[name]) for name, buffer in named if name in ranges]


def assert_within(model: mobileone.Model, x: NDArray, expected: NDArray) -> None:
    error = np.abs(model(x) - expected).max()
    assert error <= rounding_bound(model, x).logits

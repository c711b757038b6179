"""Segmenters and detectors in both forms against PyTorch in float64."""

from __future__ import annotations

import pickle
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from cases import images
from mobileone.verification.rounding import rounding_bound
from numpy.typing import NDArray
from torch_heads import DeepLabV3, Network, SsdLite, SsdLiteMmdet, backbone, randomize

BACKBONES = (
    *(f"mobilevit_{size}" for size in ("xxs", "xs", "s")),
    *(f"mobileone_s{i}" for i in range(5)),
)
# Those that go through everything; the others' outputs are compared.
WHOLE = ("mobilevit_xxs", "mobileone_s0", "mobileone_s2")
HEADS = {"deeplabv3": DeepLabV3, "ssdlite": SsdLite}
ALL = {**HEADS, "ssdlite_mmdet": SsdLiteMmdet}


def network(head: str, name: str, **options: object) -> Network:
    return randomize(ALL[head](backbone(name), **options), seed=3)


def outputs(module: Network, x: NDArray) -> list[NDArray]:
    with torch.no_grad():
        return [y.numpy() for y in module.outputs(torch.from_numpy(x).double())]


def found(model: mobileone.Model, x: NDArray) -> list[NDArray]:
    y = model(x)
    return list(y.values()) if isinstance(y, dict) else [y]


def assert_within(
    model: mobileone.Model, x: NDArray, expected: list[NDArray], *, samples: int = 4
) -> None:
    bounds = rounding_bound(model, x, samples=samples).outputs
    for (name, bound), a, b in zip(bounds.items(), found(model, x), expected, strict=True):
        assert a.shape == b.shape
        error = np.abs(a - b).max()
        assert error <= bound, f"{name}: {error} > {bound}"


@pytest.mark.parametrize(
    ("head", "name"),
    [
        *((head, name) for name in BACKBONES for head in HEADS),
        *(("ssdlite_mmdet", name) for name in WHOLE),
    ],
)
def test_outputs_match_pytorch(head: str, name: str) -> None:
    module, x = network(head, name), images(1, (64, 96))
    expected = outputs(module, x)
    model = mobileone.load(module.state())
    assert model.arch == f"{head}_{name}"
    fused = mobileone.reparameterize(model)
    for form in (model, fused):
        assert_within(form, x, expected)
    if name not in WHOLE:
        return
    evidence = mobileone.verify(model, fused, input_size=32, batch_size=1, samples=1)
    assert evidence, evidence
    assert [row.name for row in evidence.rows][-len(expected) :] == list(model.graph.outputs)


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobileone_s0"])
@pytest.mark.parametrize("output_stride", [8, 32])
def test_output_strides_match_pytorch(name: str, output_stride: int) -> None:
    options = {"width": 24, "dilations": (2, 3), "classes": 5}
    module = network("deeplabv3", name, output_stride=output_stride, **options)
    x = images(1, (96, 128))
    config = {"output_stride": output_stride, "aspp_dilations": [2, 3]}
    model = mobileone.load(module.state(), config=config)
    assert model.num_classes == 5
    assert_within(model, x, outputs(module, x))
    assert_within(mobileone.reparameterize(model), x, outputs(module, x))


@pytest.mark.parametrize(("head", "size"), [("deeplabv3", 512), ("ssdlite", 320)])
def test_at_the_papers_sizes(head: str, size: int) -> None:
    module, x = network(head, "mobilevit_xxs"), images(1, (size, size))
    model = mobileone.reparameterize(mobileone.load(module.state()))
    assert model.input_size == (size, size)
    assert_within(model, x, outputs(module, x), samples=1)


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobileone_s0"])
def test_copies_and_files_keep_every_bit(head: str, name: str, tmp_path: Path) -> None:
    create = mobileone.create_segmenter if head == "deeplabv3" else mobileone.create_detector
    model = create(name, num_classes=4, seed=5)
    x = images(1, (64, 64))
    for form in (model, mobileone.reparameterize(model)):
        form.save(tmp_path / "net.safetensors")
        for copy in (
            mobileone.load(tmp_path / "net.safetensors"),
            pickle.loads(pickle.dumps(form)),
        ):
            assert copy.config == form.config
            assert copy.arch == form.arch
            assert copy.data_config == form.data_config
            for a, b in zip(found(copy, x), found(form, x), strict=True):
                np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "create", [mobileone.create_segmenter, mobileone.create_detector], ids=["segment", "detect"]
)
@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobileone_s0"])
def test_new_networks_keep_activations_near_1(create: object, name: str) -> None:
    """Their statistics are settled (as classifiers': tests/network/test_settle.py)."""
    model = create(name, num_classes=5, seed=2)
    variances = {n: w for n, w in model.network.weights().items() if n.endswith("running_var")}
    assert not [n for n, w in variances.items() if (w == 1).all()]
    x = images(1, (128, 128))
    for level in model.features(x):
        assert 0.05 < np.sqrt((level**2).mean()) < 20
    again = create(name, num_classes=5, seed=2).network.weights()
    for n, w in variances.items():
        np.testing.assert_array_equal(again[n], w)


def test_the_published_sizes_of_the_papers_networks() -> None:
    """Parameters in millions: MobileViT's Tables 3 and 5, its authors' library's README."""
    for name, detector, segmenter in (
        ("mobilevit_xxs", 1.8, 1.9),
        ("mobilevit_xs", 2.7, 2.9),
        ("mobilevit_s", 5.7, 6.4),
    ):
        assert round(mobileone.create_detector(name).num_params / 1e6, 1) == detector
        assert round(mobileone.create_segmenter(name).num_params / 1e6, 1) == segmenter


def test_release_4_of_the_authors_library_is_told_by_its_width() -> None:
    """Table of TASKS: output stride 8, dilations 12, 24, 36, 512 channels; 8.5 M parameters."""
    options = {"output_stride": 8, "width": 512, "dilations": (12, 24, 36)}
    module, x = network("deeplabv3", "mobilevit_xxs", **options), images(1, (64, 64))
    model = mobileone.load(module.state())
    assert model.config["aspp_dilations"] == [12, 24, 36]
    assert_within(model, x, outputs(module, x))


@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobileone_s0"])
def test_weights_of_a_classifier_become_a_backbones(name: str) -> None:
    classifier = mobileone.create_model(name, seed=4)
    model = mobileone.create_detector(name, seed=1, backbone_weights=classifier)
    x = images(1, (64, 64))
    for a, b in zip(model.features(x), classifier.features(x), strict=False):
        np.testing.assert_array_equal(a, b)
    with pytest.raises(ValueError, match=r"backbone_weights: .* of mobilevit_xs in train-time"):
        mobileone.create_segmenter("mobilevit_xs", backbone_weights=classifier)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="head is 'pspnet'; expected one of deeplabv3"):
        mobileone.create_segmenter("mobileone_s0", head="pspnet")
    with pytest.raises(ValueError, match="has no field 'bogus'"):
        mobileone.create_detector("mobileone_s0", bogus=1)
    with pytest.raises(ValueError, match="output_stride is 12"):
        mobileone.create_segmenter("mobileone_s0", output_stride=12)
    with pytest.raises(ValueError, match="aspp_width is 0"):
        mobileone.create_segmenter("mobileone_s0", aspp_width=0)
    with pytest.raises(ValueError, match="expected one of 16"):
        mobileone.create_detector("mobileone_s0", output_stride=8)

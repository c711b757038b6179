"""Segmenters and detectors with their backbones in integers."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone.families.imported import imported_head

SIZE = (64, 96)
MAKERS: dict[str, Callable[..., mobileone.Model]] = {
    "segmenter": lambda: mobileone.create_segmenter("mobileone_mu0", num_classes=4, seed=1),
    "detector": lambda: mobileone.create_detector("mobileone_mu0", num_classes=4, seed=1),
    "mmdet": lambda: mobileone.create_detector(
        "mobileone_mu0", layout="mmdet", num_classes=4, seed=1
    ),
}
KINDS = pytest.mark.parametrize("kind", MAKERS)


@cache
def pair(kind: str) -> tuple[mobileone.Model, mobileone.Model]:
    """Fused, in float32 and with integers."""
    model = mobileone.reparameterize(MAKERS[kind]())
    model.input_size = SIZE
    model.class_names = ["background", "cat", "dog", "tree"]
    return model, mobileone.quantize(model, images(8, SIZE), held_out=images(4, SIZE, seed=9))


def results(found: Any) -> dict[str, Any]:
    return found if isinstance(found, dict) else {"logits": found}


@KINDS
def test_the_backbone_is_integers_and_the_head_is_not(kind: str) -> None:
    model, int8 = pair(kind)
    for node in int8.graph.nodes:
        if node["kind"] == "QuantizedConvolution":
            assert node["name"].startswith("encoder.")
            assert node["attributes"]["dilation"] in ([1, 1], (1, 1))
    whole = {n["name"] for n in int8.graph.nodes if n["kind"] == "QuantizedConvolution"}
    for node in model.graph.nodes:
        fields = node["attributes"]
        if node["kind"] == "Conv2d" and node["name"].startswith("encoder."):
            assert (node["name"] in whole) == (tuple(fields["dilation"]) == (1, 1))
    x = images(3, SIZE, seed=5)
    exact, found = results(model(x)), results(int8(x))
    assert list(exact) == list(found)
    noise = sum(float(np.square(found[k] - exact[k]).sum()) for k in exact)
    signal = sum(float(np.square(exact[k]).sum()) for k in exact)
    assert 10 * np.log10(signal / noise) > 12
    assert [level.shape for level in int8.features(x)] == [v.shape for v in model.features(x)]


@KINDS
def test_it_is_for_the_same_task(kind: str, tmp_path: Path) -> None:
    model, int8 = pair(kind)
    path = tmp_path / "int8.safetensors"
    int8.save(path)
    loaded = mobileone.load(path)
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    for one in (int8, loaded):
        assert one.bundle.task == model.bundle.task
        assert (one.num_classes, one.class_names) == (4, model.class_names)
        assert one.input_size == SIZE
    if kind == "segmenter":
        first, second = int8.segment(picture), loaded.segment(picture)
        np.testing.assert_array_equal(first.labels, second.labels)
        assert first.labels.shape == (50, 70)
        with pytest.raises(ValueError, match="is for segmentation; see create_detector"):
            int8.detect(picture)
    else:
        rule = {"score": 0.05, "most": 30}
        first, second = int8.detect(picture, **rule), loaded.detect(picture, **rule)
        np.testing.assert_array_equal(first.boxes, second.boxes)
        np.testing.assert_array_equal(first.scores, second.scores)
        assert first.boxes.shape[1] == 4
    assert loaded.quantization == int8.quantization


@KINDS
def test_the_report_counts_all_results(kind: str) -> None:
    model, int8 = pair(kind)
    report = int8.quantization
    assert report is not None
    held_out = report.data[1]
    x = images(4, SIZE, seed=9)
    exact, found = (results(m(x)) for m in (model, int8))
    noise = sum(np.square(found[k].astype(np.float64) - exact[k]).sum() for k in exact)
    signal = sum(np.square(exact[k].astype(np.float64)).sum() for k in exact)
    assert held_out.sqnr == pytest.approx(10 * np.log10(signal / noise), abs=1e-5)
    assert held_out.agreement is not None
    assert 0 < held_out.agreement <= 1
    if kind == "segmenter":
        same = exact["logits"].argmax(1) == found["logits"].argmax(1)
        assert held_out.agreement == pytest.approx(same.mean())
    else:  # of the segmenter a dilated convolution, in float32, comes between integers
        fidelity = mobileone.verify(model, int8)
        assert "bit for bit those of the exact reference" in repr(fidelity)


def test_a_head_that_there_is_not() -> None:
    with pytest.raises(ValueError, match="head is 'pspnet'; expected one of deeplabv3, ssdlite"):
        imported_head("pspnet")

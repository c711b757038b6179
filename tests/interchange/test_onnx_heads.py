"""Segmenters and detectors as ONNX files, run by ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone.tasks.detection.boxes import boxes_of_maps
from mobileone.tasks.detection.rule import DetectionRule
from mobileone.verification.rounding import rounding_bound

ort = pytest.importorskip("onnxruntime")


def session(path: Path) -> object:
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("input_size", [None, (64, 96)])
@pytest.mark.parametrize("create", [mobileone.create_segmenter, mobileone.create_detector])
def test_results_keep_their_names(
    create: object, input_size: tuple[int, int] | None, tmp_path: Path
) -> None:
    model = mobileone.reparameterize(create("mobilevit_xxs", num_classes=5, seed=2))
    model.export_onnx(tmp_path / "net.onnx", input_size=input_size)
    run, x = session(tmp_path / "net.onnx"), images(2, (64, 96))
    assert [one.name for one in run.get_outputs()] == list(model.graph.outputs)
    expected, bounds = model(x), rounding_bound(model, x).outputs
    maps = expected if isinstance(expected, dict) else {"logits": expected}
    found = run.run(None, {"images": x})
    for (name, ours), theirs in zip(maps.items(), found, strict=True):
        # Each within its bound of exact arithmetic.
        assert np.abs(ours - theirs).max() <= 2 * bounds[name]


def test_boxes_of_onnx_are_ours(tmp_path: Path) -> None:
    """With scores far enough from the threshold for float32 to see the same."""
    model = mobileone.reparameterize(mobileone.create_detector("mobileone_mu0", num_classes=4))
    rule = {"score": 0.28, "overlap": 0.45, "most": 50}
    model.export_onnx(tmp_path / "net.onnx", input_size=64, suppression=rule)
    x = images(2, (64, 64), seed=3)
    boxes, scores, selected = session(tmp_path / "net.onnx").run(None, {"images": x})
    expected = boxes_of_maps(
        model(x), 4, [(1, 1)] * 2, DetectionRule(0.28, 0.45, candidates=10_000, most=10_000)
    )
    for image, ours in enumerate(expected):
        for label in range(1, 4):
            rows = selected[(selected[:, 0] == image) & (selected[:, 1] == label - 1)]
            theirs = np.clip(boxes[image, rows[:, 2]], 0, 1)
            best = ours.boxes[ours.labels == label][:50]
            assert best.shape == theirs.shape
            np.testing.assert_allclose(best, theirs, rtol=0, atol=1e-5)
    assert scores.shape == (2, 3, boxes.shape[1])


def test_suppression_is_for_detectors(tmp_path: Path) -> None:
    model = mobileone.create_segmenter("mobileone_mu0", num_classes=3)
    with pytest.raises(ValueError, match=r"suppression is given; .* is for segmentation"):
        model.export_onnx(tmp_path / "net.onnx", suppression={})

"""Detectors as graphs: of no known task, whose results are maps or boxes."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from mobileone.verification.rounding import difference_bounds

from .detectors import SIZE, detector
from .networks import by_export, by_onnx, forms

CASES = [(route, decoded) for route in (by_onnx, by_export) for decoded in (False, True)]


def images() -> torch.Tensor:
    return torch.randn(1, 3, *SIZE, generator=torch.Generator().manual_seed(1))


def results(found: object) -> list[np.ndarray]:
    return list(found.values()) if isinstance(found, dict) else [found]


@pytest.mark.parametrize(("route", "decoded"), CASES)
def test_computes_what_pytorch_does(route, decoded: bool, tmp_path: Path) -> None:
    """Every result of both forms, within the derived bound."""
    module, x = detector(decoded), images()
    model = route(module, x, tmp_path)
    with torch.no_grad():
        truth = module.double()(x.double())
    expected = [t.numpy() for t in ([truth] if decoded else truth)]
    assert len(forms(model)) == 2
    for form in forms(model):
        bounds = difference_bounds(form.bundle, form.bundle, x.numpy(), samples=2, seed=0)
        found = results(form(x.numpy()))
        assert [f.shape for f in found] == [e.shape for e in expected]
        for f, e, bound in zip(found, expected, bounds[-len(found) :], strict=True):
            assert np.abs(e).max() > 0
            assert np.abs(f - e).max() <= bound


@pytest.mark.parametrize("decoded", [False, True])
def test_verbs(decoded: bool, tmp_path: Path) -> None:
    model = by_onnx(detector(decoded), images(), tmp_path)
    fused = mobileone.reparameterize(model)
    assert fused.form == "inference"
    assert fused.num_params < model.num_params  # three branches of every RepConv are one
    assert mobileone.verify(model, fused, input_size=SIZE)
    expected = results(fused(images().numpy()))
    fused.save(tmp_path / "fused.safetensors")
    fused.export_onnx(tmp_path / "fused.onnx", input_size=SIZE)
    for path in ("fused.safetensors", "fused.onnx"):
        again = results(mobileone.load(tmp_path / path)(images().numpy()))
        for a, b in zip(again, expected, strict=True):
            np.testing.assert_array_equal(a, b)
    compiled = fused.compile((1, 3, *SIZE), threads=1)
    for a, b in zip(results(compiled(images().numpy())), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_needs_a_task_says_so(tmp_path: Path) -> None:
    model = by_onnx(detector(True), images(), tmp_path)
    with pytest.raises(ValueError, match="of no known task; model"):
        model.predict(np.zeros((96, 128, 3), np.uint8))
    with pytest.raises(ValueError, match="of no known task; expected a classifier"):
        model.loss_and_gradients(images().numpy(), [0])


def test_a_result_of_one_axis_is_refused(tmp_path: Path) -> None:
    class Flat(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((1, 2, 3))

    with pytest.raises(ValueError, match=r"has shape \(1,\); expected \(N, ...\)"):
        by_export(Flat(), images(), tmp_path)

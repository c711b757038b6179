"""MaxPool: PyTorch's function, in float64, in the engine, in ONNX and in a profile."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from cases import images
from mobileone import _core
from mobileone.verification.rounding import rounding_bound

CONFIG = {"architecture": "plain_cnn", "num_classes": 7, "in_channels": 3}


def pooled(kernel: object, stride: object, padding: object, **more: object) -> _core.Graph:
    builder = _core.GraphBuilder()
    x = builder.add("images", "Input", **more)
    attributes = {"kernel_size": kernel, "stride": stride, "padding": padding}
    builder.output(builder.add("pool", "MaxPool", [x], **attributes))
    return builder.build()


@pytest.mark.parametrize(
    ("kernel", "stride", "padding"),
    [(2, 2, 0), (3, 2, 1), ((3, 2), (1, 3), (1, 0)), ((5, 1), (4, 1), (2, 0))],
)
@pytest.mark.parametrize("size", [(5, 7), (8, 8), (13, 6)])
def test_it_is_pytorchs(
    kernel: object, stride: object, padding: object, size: tuple[int, int]
) -> None:
    graph = pooled(kernel, stride, padding)
    x = np.random.default_rng(0).standard_normal((2, 3, *size))
    x[1, 0, 1, 1] = np.nan
    x[0, 2] = -np.inf
    (found,), _ = _core.reference_forward(_core.Network(graph, {}), x, ["pool"])
    expected = torch.nn.functional.max_pool2d(torch.from_numpy(x), kernel, stride, padding)
    np.testing.assert_array_equal(found, expected.numpy())
    plan = _core.Plan(_core.Network(graph, {}), x.shape, ["pool"], 1)
    single = np.empty(found.shape, np.float32)
    plan.run(x.astype(np.float32), [single])
    np.testing.assert_array_equal(single, found.astype(np.float32))


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\[MaxPool\] pool: padding is 2; expected at most 1"):
        pooled(3, 2, 2).shapes((1, 3, 8, 8))
    with pytest.raises(ValueError, match=r"\[MaxPool\] pool: input \(1, 3, 8, 2\) is smaller"):
        pooled(3, 2, 0).shapes((1, 3, 8, 2))
    with pytest.raises(ValueError, match=r"\[MaxPool\] pool: stride\[0\] is 0"):
        pooled(3, 0, 0)


def network_with_a_pool() -> mobileone.Model:
    builder = _core.GraphBuilder()
    x = builder.add("images", "Input")
    x = builder.add(
        "stem", "Conv2d", [x], in_channels=3, out_channels=20, kernel_size=3, padding=1, bias=True
    )
    x = builder.add("relu", "Activation", [x], kind="relu")
    x = builder.add("pool", "MaxPool", [x], kernel_size=3, stride=2, padding=1)
    x = builder.add("gap", "GlobalAvgPool", [x])
    builder.output(builder.add("linear", "Linear", [x], in_features=20, out_features=7))
    return mobileone.Model(_core.initialize(builder.build(), 3), CONFIG, arch="plain_cnn")


def test_it_runs_everywhere(tmp_path: Path) -> None:
    model, path = network_with_a_pool(), tmp_path / "x.onnx"
    x = images(2, (33, 40))
    (exact,), _ = _core.reference_forward(model.network, x, ["linear"])
    bound = rounding_bound(model, x, ()).logits
    assert np.abs(model(x) - exact).max() <= bound
    model.export_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"images": x})
    assert np.abs(found - exact).max() <= bound
    profile = mobileone.profile(model, input_size=(33, 40), runs=2)
    assert [row.implementation for row in profile.rows if row.kind == "MaxPool"] == ["loops"]

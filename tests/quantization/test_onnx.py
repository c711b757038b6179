"""Quantized networks as ONNX files: QuantizeLinear and DequantizeLinear around every operator."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from .nets import noise, quantized

onnx = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("onnx") / "int8.onnx"
    quantized().export_onnx(file)
    return file


def test_integers_are_stored_as_integers(path: Path) -> None:
    proto = onnx.load(path)
    onnx.checker.check_model(proto, full_check=True)
    stored = {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    weights = quantized().state_dict().items()
    whole = {name: w for name, w in weights if not name.endswith(".scale.value")}  # of levels
    for name, weight in whole.items():
        np.testing.assert_array_equal(stored[name], weight, strict=True)
    kinds = Counter(node.op_type for node in proto.graph.node)
    layers = sum(n["kind"] == "QuantizedConvolution" for n in quantized().graph.nodes)
    assert kinds["Conv"] == layers
    assert kinds["QuantizeLinear"] == layers + 1


def test_onnx_runtime_gives_the_same(path: Path) -> None:
    """Its float path, without fusing: the definition of the operators, up to float32's rounding
    of a sum, which moves an integer by one here and there.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = noise(4, seed=3)
    for chosen in (options, None):
        session = onnxruntime.InferenceSession(path, chosen, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {"images": x})
        expected = quantized()(x)
        error = np.square(found - expected).sum()
        assert np.square(expected).sum() > 1e4 * error


def test_openvino_compiles_it(path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    x = noise(1, seed=3)
    found = openvino.Core().compile_model(str(path), "CPU")(x)[0]
    expected = quantized()(x)
    assert np.square(expected).sum() > 1e2 * np.square(found - expected).sum()

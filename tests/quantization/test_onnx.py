"""Quantized networks as ONNX files: QuantizeLinear and DequantizeLinear around every operator."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from .integer_reference import integer_maps
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


def with_integers(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """The file with every QuantizeLinear's integers as results, and the nodes they are of."""
    proto = onnx.load(path)
    made = [node.output[0] for node in proto.graph.node if node.op_type == "QuantizeLinear"]
    for name in made:
        kind = onnx.helper.make_tensor_value_info(name, onnx.TensorProto.UINT8, None)
        proto.graph.output.append(kind)
    onnx.save(proto, folder / "integers.onnx")
    return folder / "integers.onnx", [name.removesuffix(".out") for name in made]


@pytest.mark.parametrize("fused", [True, False])
def test_onnx_runtime_gives_the_same_integers(fused: bool, path: Path, tmp_path: Path) -> None:
    """Its integer kernels exactly, where the CPU has VNNI: without, they saturate. Without fusing,
    sums of float32 move some integers by one.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    vnni = "vnni" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    if fused and not vnni:
        pytest.skip("ONNX Runtime's integer kernels saturate on this CPU")
    options = onnxruntime.SessionOptions()
    if not fused:
        level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.graph_optimization_level = level
    file, names = with_integers(path, tmp_path)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    x = noise(4, seed=3)
    logits, *found = session.run(None, {"images": x})
    expected = integer_maps(quantized(), x)
    for name, own in zip(names, found, strict=True):
        wrong = own != expected[name]
        assert wrong.mean() <= (0.0 if fused else 0.01), name
    error = np.square(logits - quantized()(x)).sum()
    assert np.square(logits).sum() > (1e10 if fused else 1e4) * error


def test_openvino_compiles_it(path: Path) -> None:
    openvino = pytest.importorskip("openvino")
    x = noise(1, seed=3)
    found = openvino.Core().compile_model(str(path), "CPU")(x)[0]
    expected = quantized()(x)
    assert np.square(expected).sum() > 1e2 * np.square(found - expected).sum()

#!/usr/bin/env bash
# onnx.reference.ReferenceEvaluator, the executable definition of ONNX, against ONNX Runtime and OpenVINO, which
# agree with each other and with NumPy:
# - MaxPool with different pads at the four sides and stride 1 reads (top, left, bottom, right) as (top, bottom,
#   left, right): the result's height and width are wrong;
# - LpNormalization with p=1 divides by the sum of the values, not of their magnitudes;
# - LRN normalises only as many channels as the batch has images and leaves the others as they are.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__)
core = ov.Core()


def results(op, x, **attributes):
    """By ONNX's evaluator, ONNX Runtime and OpenVINO."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    a = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    b = compiled(x)[0]
    assert a.shape == b.shape and np.allclose(a, b, atol=1e-5)
    return ReferenceEvaluator(made).run(None, {"x": x})[0], a


rng = np.random.default_rng(0)
image = rng.standard_normal((1, 1, 8, 8)).astype(np.float32)
for pads in ([1, 0, 1, 0], [1, 1, 0, 0], [0, 0, 1, 1]):
    top, left, bottom, right = pads
    size = (8 + top + bottom - 2, 8 + left + right - 2)
    r, a = results("MaxPool", image, kernel_shape=[3, 3], strides=[1, 1], pads=pads)
    print(f"MaxPool pads {pads}: evaluator {r.shape[2:]}, ONNX Runtime and OpenVINO {a.shape[2:]}")
    assert a.shape[2:] == size
    assert r.shape[2:] == (8 + top + left - 2, 8 + bottom + right - 2), "the evaluator reads pads otherwise now"

values = rng.standard_normal((2, 5)).astype(np.float32)
r, a = results("LpNormalization", values, axis=1, p=1)
assert np.allclose(a, values / np.abs(values).sum(1, keepdims=True), atol=1e-5)
print(f"LpNormalization p=1: sum of magnitudes {np.abs(r).sum(1).round(2)} by the evaluator, {np.abs(a).sum(1).round(2)}")
assert np.allclose(r, values / values.sum(1, keepdims=True), atol=1e-4), "the evaluator takes magnitudes now"

channels = np.zeros((1, 5, 1, 1), np.float32)
channels[0, 2] = channels[0, 3] = 1
r, a = results("LRN", channels, size=3, alpha=3.0, beta=1.0, bias=1.0)
print(f"LRN of {channels.ravel()}: evaluator {r.ravel()}, ONNX Runtime and OpenVINO {a.ravel()}")
assert not np.allclose(r, a), "the evaluator's LRN agrees now"
PY
echo "as recorded: ONNX's evaluator differs from both runtimes in MaxPool, LpNormalization and LRN"

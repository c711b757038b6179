#!/usr/bin/env bash
# ONNX Runtime's quantize_static removes a Relu or Clip: the integers of its result end where the activation would
# cut. Not so for a Clip whose bounds are both positive or both negative, as of a head for depths or sizes that is
# clamped to [1, 10]: a range of integers is made to hold zero, and the Clip is removed all the same. What was never
# below 1 is 0 after quantization, with the default options, on the very data it was calibrated with, and a division
# by it is infinite. Bounds around zero are right, and so is extra_options={"QDQKeepRemovableActivations": True}.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python -W ignore - 2>log <<'PY' || { tail log; exit 1; }
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_static

print("onnxruntime", ort.__version__)
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 8, 10, 10)).astype(np.float32)
weights = rng.standard_normal((1, 8, 1, 1)).astype(np.float32)


class Data(CalibrationDataReader):
    def __init__(self):
        self.batches = iter([{"x": x}])

    def get_next(self):
        return next(self.batches, None)


def run(path):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def measure(low, high, **options):
    constants = {"w": weights, "low": np.float32(low), "high": np.float32(high)}
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Clip", ["t", "low", "high"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 1, 10, 10])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, "float.onnx")
    quantize_static("float.onnx", "int8.onnx", Data(), extra_options=options, **formats)
    a, b = run("float.onnx"), run("int8.onnx")
    assert np.allclose(a, np.clip(np.einsum("nchw,c->nhw", x, weights.ravel())[:, None], low, high), atol=1e-4)
    step = (max(high, 0) - min(low, 0)) / 255
    kept = any(node.op_type == "Clip" for node in onnx.load("int8.onnx").graph.node)
    print(
        f"Clip to [{low:g}, {high:g}] {formats or ''} {options or ''}: float {a.min():.2f} .. {a.max():.2f}, "
        f"quantized {b.min():.2f} .. {b.max():.2f}, {np.mean((b < low - step) | (b > high + step)):.0%} outside"
    )
    return b, step, kept


formats = {}
b, step, kept = measure(-1, 2)
assert not kept and -1 - step <= b.min() and b.max() <= 2 + step
for formats in ({}, {"quant_format": QuantFormat.QOperator}):
    b, step, kept = measure(1, 10)
    assert not kept and b.min() == 0, "the lower bound is kept now"
    b, step, kept = measure(-10, -1)
    assert not kept and b.max() == 0, "the upper bound is kept now"
formats = {}
b, step, kept = measure(1, 10, QDQKeepRemovableActivations=True)
assert kept and b.min() >= 1 - step
PY
echo "as recorded: ONNX Runtime's quantization removes a Clip to [1, 10] and gives 0"

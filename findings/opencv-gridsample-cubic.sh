#!/usr/bin/env bash
# ONNX's GridSample calls its modes bilinear, bicubic and nearest in opsets 16 and 19, linear, cubic and nearest since
# opset 20. OpenCV's dnn takes the new name cubic for linear, without a message: what a newer exporter writes gives
# other numbers. The old bicubic it samples with the right kernel, and then clamps the result to the least and largest
# of the 4 x 4 neighbours, though cubic convolution overshoots there. Truth: the cubic convolution with coefficient
# -0.75 in float64, at points whose neighbours all lie within the map; ONNX Runtime agrees with it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 \
  opencv-python-headless==5.0.0.93
nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import cv2
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("opencv", cv2.__version__, "/ onnxruntime", ort.__version__)
cv2.setNumThreads(1)
size, points = 9, 20
rng = np.random.default_rng(0)
x = rng.standard_normal((1, 1, size, size)).astype(np.float32)
where = rng.uniform(2, 6, (points, 2))  # column, row, in pixels
grid = ((2 * where + 1) / size - 1).astype(np.float32).reshape(1, 1, points, 2)


def linear(d):
    return np.maximum(0, 1 - np.abs(d))


def cubic(d, a=-0.75):
    d = np.abs(d)
    near, far = (a + 2) * d**3 - (a + 3) * d**2 + 1, a * (d**3 - 5 * d**2 + 8 * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0))


def sampled(kernel):
    columns, rows = (kernel(where[:, i, None] - np.arange(size)) for i in (0, 1))
    return np.einsum("pr,pc,rc->p", rows, columns, x[0, 0].astype(np.float64))


def clamped():
    low = np.floor(where).astype(int)
    near = np.stack([x[0, 0, r - 1 : r + 3, c - 1 : c + 3] for c, r in low])
    return np.clip(sampled(cubic), near.min((1, 2)), near.max((1, 2)))


for opset, mode, kernel, by_opencv in (
    (16, "bilinear", linear, sampled(linear)),
    (16, "bicubic", cubic, clamped()),
    (20, "linear", linear, sampled(linear)),
    (20, "cubic", cubic, sampled(linear)),
):
    graph = helper.make_graph(
        [helper.make_node("GridSample", ["x", "grid"], ["y"], mode=mode)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, points])],
        [numpy_helper.from_array(grid, "grid")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    runtime = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0].ravel()
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    net.setInput(x, "x")
    found = net.forward().ravel()
    exact = sampled(kernel)
    errors = [float(np.abs(v - exact).max()) for v in (runtime, found)]
    print(f"opset {opset}, {mode:8}: ONNX Runtime off by {errors[0]:.1e}, OpenCV by {errors[1]:.1e}")
    assert errors[0] < 1e-4, "ONNX Runtime samples otherwise now"
    assert (errors[1] < 1e-4) == (kernel is linear), "OpenCV samples otherwise now"
    assert np.abs(found - by_opencv).max() < 1e-4, "OpenCV samples otherwise now"
PY
echo "as recorded: OpenCV takes GridSample's mode cubic for linear, and clamps bicubic"

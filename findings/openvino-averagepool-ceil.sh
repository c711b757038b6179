#!/usr/bin/env bash
# With ceil_mode=1 the last window of a pool may reach past the padded map. PyTorch, whose rule ONNX took
# over, divides a sum that counts padding by the pixels that lie on the padded map. OpenVINO divides by
# the whole window, 9 where 6 lie on the map, so that the last row and column of a torch.nn.AvgPool2d(3, 3, 1,
# ceil_mode=True) come out too small. It does count rightly with count_include_pad=0. Its LpPool with ceil_mode
# has a wrong border too: it multiplies the mean of those pixels by the whole window's 9.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__)
core = ov.Core()
core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
x = np.ones((1, 1, 7, 9), np.float32)


def results(op, pad, **attributes):
    node = helper.make_node(op, ["x"], ["y"], kernel_shape=[3, 3], strides=[3, 3], pads=[pad] * 4, ceil_mode=1, **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 3, 3 + pad])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    raw = made.SerializeToString()
    runtime = ort.InferenceSession(raw, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    return runtime[0, 0], core.compile_model(core.read_model(raw), "CPU")({"x": x})[0][0, 0]


def by_hand(pad, count):
    """Sums of the ones in each window, over what `count` says of the window's rows and columns."""
    padded = np.pad(x[0, 0], pad)
    rows, columns = 3, 3 + pad
    windows = [[padded[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] for j in range(columns)] for i in range(rows)]
    return np.array([[count(w) for w in row] for row in windows])


for include in (0, 1):
    runtime, other = results("AveragePool", 1, count_include_pad=include)
    expected = by_hand(1, lambda w: w.sum() / (w.size if include else w.sum()))
    print(f"AveragePool, count_include_pad={include}: ONNX Runtime {runtime[-1]}, OpenVINO {other[-1]}")
    assert np.allclose(runtime, expected), "ONNX Runtime's average is another now"
    whole = by_hand(1, lambda w: w.sum() / (9 if include else w.sum()))
    assert np.allclose(other, whole) and np.allclose(whole, expected) == (not include), "OpenVINO's average is another now"
runtime, other = results("LpPool", 0, p=2)
print(f"LpPool: ONNX Runtime {runtime[:, -1]}, OpenVINO {other[:, -1]}")
assert np.allclose(runtime, by_hand(0, lambda w: np.sqrt(w.sum()))), "ONNX Runtime's LpPool is another now"
assert np.allclose(other[:2], runtime[:2]) and other[2, 2] > 1.5 * runtime[2, 2], "OpenVINO's LpPool is another now"
PY
echo "as recorded: openvino 2026.4.1 divides by the whole window where a pool's ceil_mode goes past the map"

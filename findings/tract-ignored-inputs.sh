#!/usr/bin/env bash
# tract loads an ONNX Celu, Swish or Pad and runs another function, without a word. Celu with alpha a is
# max(0, x) + min(0, a (exp(x / a) - 1)); tract forgets the factor a, right only for a = 1, and the function jumps
# in slope at 0. Swish (opset 24) is x / (1 + exp(-a x)); tract takes a = 1, and OpenCV's dnn does the same. Pad's
# third input, the constant, says nothing in the modes reflect and edge; tract, given one, pads with it instead.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 tract==0.23.9 \
  opencv-python-headless==5.0.0.93
cd "$dir"
nice -n 10 venv/bin/python -W ignore - <<'PY'
import cv2
import numpy as np
import onnx
import onnxruntime as ort
import tract
from importlib.metadata import version
from onnx import TensorProto, helper, numpy_helper

print("tract", version("tract"), "/ opencv", cv2.__version__, "/ onnxruntime", ort.__version__)


def results(op, x, constants, opset, **attributes):
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *constants], ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * x.ndim)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, "model.onnx")
    network = tract.onnx().load("model.onnx")
    network.set_input_fact(0, ",".join(map(str, x.shape)) + ",f32")
    by_tract = network.into_model().into_runnable().run([x])[0].to_numpy()
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    net = cv2.dnn.readNetFromONNX("model.onnx")
    net.setInput(x, "x")
    return session.run(None, {"x": x})[0], by_tract, net.forward().reshape(by_tract.shape)


def close(a, b):
    return bool(np.allclose(a, b, rtol=1e-5, atol=1e-6))


x = np.array([-4, -2, -1, -0.25, 0, 2], np.float32)
y = x.astype(np.float64)
for a in (1.0, 0.5, 2.0):
    exact = np.maximum(0, y) + np.minimum(0, a * (np.exp(y / a) - 1))
    runtime, by_tract, opencv = results("Celu", x, {}, 12, alpha=a)
    print(f"Celu, alpha {a}\n   right {exact.round(3)}\n   tract {by_tract.round(3)}")
    assert close(runtime, exact) and close(opencv, exact)
    assert close(by_tract, np.where(y < 0, exact / a, exact)), "tract's Celu is another one now"
for a in (1.0, 0.5, 2.0):
    exact = y / (1 + np.exp(-a * y))
    runtime, by_tract, opencv = results("Swish", x, {}, 24, alpha=a)
    print(f"Swish, alpha {a}\n   right {exact.round(3)}\n   tract {by_tract.round(3)}\n   OpenCV {opencv.round(3)}")
    assert close(runtime, exact)
    assert close(by_tract, y / (1 + np.exp(-y))), "tract's Swish knows alpha now"
    assert close(opencv, y / (1 + np.exp(-y))), "OpenCV's Swish knows alpha now"
x = np.arange(6, dtype=np.float32).reshape(1, 1, 2, 3)
pads, nine = np.array([0, 0, 0, 2, 0, 0, 0, 1]), np.array(9, np.float32)
for mode in ("reflect", "edge"):
    exact = np.pad(x, [(0, 0), (0, 0), (0, 0), (2, 1)], mode)
    runtime, by_tract, opencv = results("Pad", x, {"pads": pads}, 17, mode=mode)
    assert close(runtime, exact) and close(by_tract, exact) and close(opencv, exact)
    runtime, by_tract, opencv = results("Pad", x, {"pads": pads, "nine": nine}, 17, mode=mode)
    print(f"Pad, {mode}, and a constant 9\n   right {exact[0, 0].tolist()}\n   tract {by_tract[0, 0].tolist()}")
    assert close(runtime, exact) and close(opencv, exact)
    constant = np.pad(x, [(0, 0), (0, 0), (0, 0), (2, 1)], constant_values=9)
    assert close(by_tract, constant), "tract's Pad looks at its mode now"
PY
echo "as recorded: tract's Celu, Swish and Pad lose alpha and the mode; OpenCV's Swish loses alpha"

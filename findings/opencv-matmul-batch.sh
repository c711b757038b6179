#!/usr/bin/env bash
# OpenCV's dnn multiplies images by a constant stack of matrices, (n, 3, 4, 5) by (3, 5, 2), rightly for n = 1 and
# wrongly for n = 2: of three matrices the first is applied, where the second belongs a mixture of two, and where
# the third belongs the second. ONNX's MatMul broadcasts as NumPy's does. A network with a matrix per group or head
# passes its tests with one image and is wrong for a batch. One matrix for all, a stack for each image, or a stack
# that is an input of the network, is multiplied rightly. No message.
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
rng = np.random.default_rng(0)


def products(images, stack, constant=True):
    """Images (n, 3, 4, 5), a stack of matrices, and OpenCV's product of them."""
    x = rng.standard_normal((images, 3, 4, 5)).astype(np.float32)
    w = rng.standard_normal(stack).astype(np.float32)
    exact = np.matmul(x.astype(np.float64), w)
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, v.shape) for n, v in (("x", x), ("w", w))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        info[:1] if constant else info,
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, exact.shape)],
        [numpy_helper.from_array(w, "w")] if constant else [],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    feeds = {"x": x} if constant else {"x": x, "w": w}
    runtime = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feeds)[0]
    assert np.abs(runtime - exact).max() < 1e-5, "ONNX Runtime no longer agrees with NumPy"
    net = cv2.dnn.readNetFromONNX(np.frombuffer(data, np.uint8))
    for name, value in feeds.items():
        net.setInput(value, name)
    found = net.forward()
    assert found.shape == exact.shape
    return x, w, found, np.abs(found - exact).max((2, 3))


for title, arguments, right in (
    ("1 image, constant (3, 5, 2)", (1, (3, 5, 2)), [True] * 3),
    ("2 images, constant (5, 2)", (2, (5, 2)), [True] * 3),
    ("2 images, constant (2, 3, 5, 2)", (2, (2, 3, 5, 2)), [True] * 3),
    ("2 images, input (3, 5, 2)", (2, (3, 5, 2), False), [True] * 3),
    ("2 images, constant (1, 3, 5, 2)", (2, (1, 3, 5, 2)), [True, False, False]),
    ("2 images, constant (3, 5, 2)", (2, (3, 5, 2)), [True, False, False]),
):
    x, w, found, error = products(*arguments)
    print(f"{title:32} off by", " / ".join(", ".join(f"{e:.1e}" for e in row) for row in error))
    assert all([bool(e < 1e-5) for e in row] == right for row in error), "OpenCV multiplies otherwise now"
assert np.abs(found[:, 2] - x[:, 2] @ w[1]).max() < 1e-5, "the third product is no longer one with the second matrix"
PY
echo "as recorded: OpenCV multiplies a batch by a constant stack of matrices wrongly, one image rightly"

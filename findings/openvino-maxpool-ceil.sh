#!/usr/bin/env bash
# A max pooling with ceil_mode=1 whose last window would begin inside the padding: PyTorch drops that
# window, and ONNX says so from opset 22 on. ONNX Runtime, tract and ONNX's shape inference give a
# 3 x 3 map for a 5 x 5 one (kernel 2, stride 2, padding 1). OpenVINO gives 4 x 4, and the row and
# column too many hold -3.4028235e38, the lowest float, which the layers after it add up.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - "$dir/pool.onnx" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import tract
from onnx import TensorProto, helper

print("onnxruntime", ort.__version__, "/ openvino", ov.__version__, "/ tract 0.23.9")
pool = helper.make_node(
    "MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 1, 1], ceil_mode=1
)
graph = helper.make_graph(
    [pool],
    "pool",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 5, 5])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 3, 3])],
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
onnx.checker.check_model(made, full_check=True)  # strict: a wrong output shape would be refused
onnx.save(made, sys.argv[1])

x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)
core = ov.Core()
y = {
    "ONNX Runtime": ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).run(None, {"x": x})[0],
    "tract": tract.onnx().load(sys.argv[1]).into_model().into_runnable().run([x])[0].to_numpy(),
    "OpenVINO": core.compile_model(core.read_model(sys.argv[1]), "CPU")(x)[0],
}
for name, value in y.items():
    print(f"{name}: shape {value.shape}\n{value[0, 0]}")
assert y["ONNX Runtime"].shape == y["tract"].shape == (1, 1, 3, 3)
assert np.array_equal(y["ONNX Runtime"], y["tract"])
assert y["OpenVINO"].shape == (1, 1, 4, 4), "OpenVINO no longer adds a row and a column"
assert np.array_equal(y["OpenVINO"][..., :3, :3], y["tract"])
assert (y["OpenVINO"][..., 3, :] == np.finfo(np.float32).min).all()
PY
echo "as recorded: OpenVINO 2026.4.1 answers (1, 1, 4, 4) with the lowest float at the border"

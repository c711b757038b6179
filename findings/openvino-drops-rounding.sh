#!/usr/bin/env bash
# Two ways to write a rounding into a float32 graph, both undone by OpenVINO, even when it is told to
# infer in f32: adding and then subtracting 1.5 * 2^23 (which rounds to integers, ties to even), and a
# Cast to FLOAT16 and back. OpenVINO cancels the pair and hands the input through. Fake quantization
# that is built in this manner then simulates nothing: the "quantized" accuracy is the float one.
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
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__, "/ openvino", ov.__version__)
x = np.array([[0.3, 0.5, 1.5, 3.49, 100.6, 70000]], np.float32)
node = helper.make_node
graphs = {
    "Add, Sub of 1.5 * 2^23": (
        [node("Add", ["x", "k"], ["t"]), node("Sub", ["t", "k"], ["y"])],
        np.rint(x),
    ),
    "Cast to FLOAT16 and back": (
        [node("Cast", ["x"], ["t"], to=TensorProto.FLOAT16), node("Cast", ["t"], ["y"], to=TensorProto.FLOAT)],
        np.array([[0.30004883, 0.5, 1.5, 3.4902344, 100.625, np.inf]], np.float32),
    ),
}
core = ov.Core()
for title, (nodes, rounded) in graphs.items():
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(x.shape)) for n in "xy"]
    k = [numpy_helper.from_array(np.float32(1.5 * 2**23), "k")] if "Add" in title else []
    made = helper.make_model(
        helper.make_graph(nodes, "g", info[:1], info[1:], k),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    a = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    b = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    print(f"{title}\n   ONNX Runtime {a[0]}\n   OpenVINO     {b[0]}")
    assert np.array_equal(a, rounded), "ONNX Runtime no longer rounds here"
    assert np.array_equal(b, x), "OpenVINO no longer hands the input through"
PY
echo "as recorded: OpenVINO 2026.4.1 cancels both roundings, ONNX Runtime 1.32.0 carries them out"

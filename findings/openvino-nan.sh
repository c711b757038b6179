#!/usr/bin/env bash
# OpenVINO's CPU plugin hides a NaN instead of passing it on. ONNX Runtime and ONNX's reference
# evaluator answer NaN to a NaN for Relu, Clip, HardSigmoid and Exp; OpenVINO gives 0, 0, 1 and
# infinity. After a network's first ReLU a broken input or weight looks like an ordinary number, so a
# NaN check on the logits finds nothing.
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
from onnx.reference import ReferenceEvaluator

print("onnxruntime", ort.__version__, "/ openvino", ov.__version__)


def model(op, inputs=(), **attributes):
    names = [f"p{i}" for i in range(len(inputs))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])],
        [numpy_helper.from_array(np.float32(v), n) for n, v in zip(names, inputs)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


x = np.array([[np.nan, -1, 2]], np.float32)
core = ov.Core()
for op, limits, hidden in (
    ("Relu", (), 0),
    ("Clip", (0, 6), 0),  # how ReLU6 is written
    ("HardSigmoid", (), 1),  # the gate of MobileNetV3's squeeze and excitation
    ("Exp", (), np.inf),
):
    made = model(op, limits)
    data = made.SerializeToString()
    r = ReferenceEvaluator(made).run(None, {"x": x})[0]
    a = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    b = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})(x)[0]
    print(f"{op:12} ONNX Runtime {a[0]}   OpenVINO {b[0]}")
    assert np.isnan([a[0, 0], r[0, 0]]).all(), "ONNX Runtime or the reference no longer passes NaN on"
    assert b[0, 0] == hidden, "OpenVINO no longer hides the NaN in this way"
    assert np.allclose(a[0, 1:], b[0, 1:], atol=1e-5)
PY
echo "as recorded: OpenVINO 2026.4.1 turns NaN into 0, 0, 1 and inf, ONNX Runtime 1.32.0 keeps it"

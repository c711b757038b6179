#!/usr/bin/env bash
# What becomes of a float32 that is too large for float8 e4m3fn (largest value 448)? Four answers.
# PyTorch saturates, even infinity (to 448), but for e5m2 it goes to infinity. ml_dtypes, which gives
# NumPy these types, makes NaN from 465 on. ONNX's Cast saturates unless told otherwise, and ONNX Runtime
# does so; OpenVINO makes NaN in spite of saturate=1, and infinity for e5m2, whose largest value is 57344.
# And for the scale type e8m0fnu PyTorch drops the sign (-500 becomes +512), where ml_dtypes makes NaN.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 ml_dtypes==0.6.0 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - <<'PY'
import ml_dtypes
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import torch
from onnx import TensorProto, helper

print("torch", torch.__version__, "/ ml_dtypes", ml_dtypes.__version__, "/ onnxruntime", ort.__version__)
print("openvino", ov.__version__)
nan, inf = np.nan, np.inf
x = np.array([[448, 464, 465, 1e6, inf]], np.float32)


def cast(to):
    nodes = [helper.make_node("Cast", ["x"], ["t"], to=to, saturate=1)]
    nodes.append(helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT))
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(x.shape)) for n in "xy"]
    made = helper.make_model(
        helper.make_graph(nodes, "g", info[:1], info[1:]),
        opset_imports=[helper.make_opsetid("", 19)],
        ir_version=9,
    )
    onnx.checker.check_model(made, full_check=True)
    data, core = made.SerializeToString(), ov.Core()
    session = ort.InferenceSession(data, providers=["CPUExecutionProvider"])
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return session.run(None, {"x": x})[0], compiled(x)[0]


ort_e4, ov_e4 = cast(TensorProto.FLOAT8E4M3FN)
ort_e5, ov_e5 = cast(TensorProto.FLOAT8E5M2)
expected = [
    ("e4m3fn PyTorch", torch.tensor(x).to(torch.float8_e4m3fn).float().numpy(), [448, 448, 448, 448, 448]),
    ("e4m3fn ml_dtypes", x.astype(ml_dtypes.float8_e4m3fn).astype(np.float32), [448, 448, nan, nan, nan]),
    ("e4m3fn ONNX Runtime", ort_e4, [448, 448, 448, 448, 448]),
    ("e4m3fn OpenVINO", ov_e4, [448, 448, nan, nan, nan]),
    ("e5m2 PyTorch", torch.tensor(x).to(torch.float8_e5m2).float().numpy(), [448, 448, 448, inf, inf]),
    ("e5m2 ml_dtypes", x.astype(ml_dtypes.float8_e5m2).astype(np.float32), [448, 448, 448, inf, inf]),
    ("e5m2 ONNX Runtime", ort_e5, [448, 448, 448, 57344, 57344]),
    ("e5m2 OpenVINO", ov_e5, [448, 448, 448, inf, inf]),
    ("-500 e8m0fnu PyTorch", torch.tensor([[-500.0]]).to(torch.float8_e8m0fnu).float().numpy(), [512]),
    ("-500 e8m0fnu ml_dtypes", np.float32([[-500]]).astype(ml_dtypes.float8_e8m0fnu).astype(np.float32), [nan]),
]
print(f"{'':22} {x[0]}")
for name, y, recorded in expected:
    print(f"{name:22} {y[0]}")
    assert np.array_equal(y[0], np.float32(recorded), equal_nan=True), f"{name} has changed"
PY
echo "as recorded: the same cast to float8 saturates, gives NaN or gives infinity, by library"

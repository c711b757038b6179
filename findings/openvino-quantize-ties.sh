#!/usr/bin/env bash
# QuantizeLinear divides by the scale, rounds to the nearest even integer, and adds the zero point. OpenVINO
# rounds after the addition: with an odd zero point every tie goes the other way, by a whole level. Ties are
# no rarity where scales are powers of two (0.25 / 0.5), and the int8 results of two runtimes on one QDQ
# file then differ before the first convolution. Even zero points, 0 and 128 with them, agree.
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__)
x = np.array([0.25, 0.75, -0.25, 1.25, -0.75, 0.3], np.float32)
core = ov.Core()
core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})
for kind, zeros in ((np.uint8, (100, 101, 128, 127)), (np.int8, (0, 1, -4, -3))):
    for zero in zeros:
        graph = helper.make_graph(
            [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
            [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), x.shape)],
            [numpy_helper.from_array(np.float32(0.5), "scale"), numpy_helper.from_array(kind(zero), "zero")],
        )
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
        onnx.checker.check_model(made, full_check=True)
        raw = made.SerializeToString()
        levels = {
            "ONNX's evaluator": ReferenceEvaluator(made).run(None, {"x": x})[0],
            "ONNX Runtime": ort.InferenceSession(raw, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0],
            "OpenVINO": core.compile_model(core.read_model(raw), "CPU")({"x": x})[0],
        }
        levels = {name: (level.astype(int) - zero).tolist() for name, level in levels.items()}
        print(f"{kind.__name__}, zero point {zero}: " + ", ".join(f"{n} {v}" for n, v in levels.items()))
        even = [0, 2, 0, 2, -2, 1]
        assert levels["ONNX Runtime"] == levels["ONNX's evaluator"] == even, "others round in another way now"
        assert levels["OpenVINO"] == ([1, 1, -1, 3, -1, 1] if zero % 2 else even), "OpenVINO's ties have changed"
PY
echo "as recorded: openvino 2026.4.1 rounds after adding the zero point"

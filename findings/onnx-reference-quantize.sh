#!/usr/bin/env bash
# QuantizeLinear saturates: whatever is above the range becomes the largest level. ONNX's own evaluator,
# which people take for the truth about a runtime's int8 results, converts to int32 before it clips: from
# 2^31 scales on, infinity among them, a value becomes the *smallest* level. With a small scale that is no
# huge number: 0.3 at a scale of 1e-10.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__)


def levels(kind, x, scale):
    graph = helper.make_graph(
        [helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", helper.np_dtype_to_tensor_dtype(np.dtype(kind)), x.shape)],
        [numpy_helper.from_array(np.float32(scale), "scale"), numpy_helper.from_array(kind(0), "zero")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0].tolist(), ReferenceEvaluator(made).run(None, {"x": x})[0].tolist()


for kind in (np.uint8, np.int8, np.int16):
    low, high = int(np.iinfo(kind).min), int(np.iinfo(kind).max)
    for scale, x in ((0.5, [1e6, 1e9, 2e9, -2e9, np.inf]), (1e-10, [0.1, 0.2, 0.3, -0.3, np.inf])):
        runtime, evaluator = levels(kind, np.array(x, np.float32), scale)
        print(f"{kind.__name__}, scale {scale}, {x}: ONNX Runtime {runtime}, evaluator {evaluator}")
        assert runtime == [high, high, high, low, high], "ONNX Runtime does not saturate now"
        assert evaluator == [high, high, low, low, low], "the evaluator's saturation has changed"
PY
echo "as recorded: onnx 1.23.2's evaluator turns large values into the smallest level"

#!/usr/bin/env bash
# ONNX Resize with align_corners by a factor that does not give a whole number of pixels: 7 pixels by 1.7 are
# 11.9, so 11. Corners are aligned if output pixel 10 lies on input pixel 6, and ONNX Runtime and OpenVINO
# (as PyTorch) do so. ONNX's reference evaluator and tract divide by 11.9 - 1 and not by 11 - 1: their last
# pixel lies at 5.5, half a pixel short. A U-Net's decoder whose file names factors and not sizes runs
# differently in the two camps; with whole numbers, 5 by 2, all four agree.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - "$dir/resize.onnx" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import tract
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__, "/ tract 0.23.9")


def last_pixels(size, factor):
    mode = {"mode": "linear", "coordinate_transformation_mode": "align_corners"}
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "scales"], ["y"], **mode)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 1, size])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 1, int(size * factor)])],
        [numpy_helper.from_array(np.array([1, 1, 1, factor], np.float32), "scales")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, sys.argv[1])
    x = np.arange(size, dtype=np.float32).reshape(1, 1, 1, size)  # each pixel's value is its position
    core = ov.Core()
    compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    y = {
        "ONNX Runtime": ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).run(None, {"x": x})[0],
        "OpenVINO": compiled(x)[0],
        "reference": ReferenceEvaluator(made).run(None, {"x": x})[0],
        "tract": tract.onnx().load(sys.argv[1]).into_model().into_runnable().run([x])[0].to_numpy(),
    }
    return {name: float(value.ravel()[-1]) for name, value in y.items()}


for size, factor in ((5, 2.0), (7, 1.7), (7, 0.5)):
    last = last_pixels(size, factor)
    short = (size - 1) * (int(size * factor) - 1) / (size * factor - 1)
    print(f"{size} pixels by {factor}: the last one lies at", {k: round(v, 3) for k, v in last.items()})
    assert np.allclose([last["ONNX Runtime"], last["OpenVINO"]], size - 1, atol=1e-4)
    assert np.allclose([last["reference"], last["tract"]], short, atol=1e-3), "their corners have moved"
PY
echo "as recorded: onnx 1.23.2's evaluator and tract 0.23.9 do not align the last corner"

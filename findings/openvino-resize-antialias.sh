#!/usr/bin/env bash
# OpenVINO reads an ONNX Resize with antialias=1 and runs it without the antialiasing, with no error
# and no warning. ONNX Runtime, tract and ONNX's reference evaluator all honour the attribute. A model
# that carries its own preprocessing (photo -> Resize -> network) therefore sees aliased pictures in
# OpenVINO: here stripes of one pixel, which ought to shrink to an even grey, shrink to stripes.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - "$dir/resize.onnx" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import tract
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnxruntime", ort.__version__, "/ openvino", ov.__version__, "/ tract 0.23.9")


def results(mode, antialias, x):
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode=mode, antialias=antialias)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 6, 6])],
        [numpy_helper.from_array(np.array([1, 1, 6, 6], np.int64), "size")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, sys.argv[1])
    core = ov.Core()
    compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    session = ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    runnable = tract.onnx().load(sys.argv[1]).into_model().into_runnable()
    return {
        "reference": ReferenceEvaluator(made).run(None, {"x": x})[0],
        "ONNX Runtime": session.run(None, {"x": x})[0],
        "tract": runnable.run([x])[0].to_numpy(),
        "OpenVINO": compiled(x)[0],
    }


x = np.zeros((1, 1, 27, 27), np.float32)
x[..., ::2] = 1  # vertical stripes, one pixel wide
for mode in ("linear", "cubic"):
    plain, smooth = results(mode, 0, x), results(mode, 1, x)
    for name, y in smooth.items():
        print(f"{mode:7} antialias=1  {name:13} row {np.round(y[0, 0, 2], 2)}")
    for name in ("ONNX Runtime", "tract"):
        assert np.allclose(smooth[name], smooth["reference"], atol=1e-4), f"{name} no longer antialiases"
    assert 2 * np.ptp(smooth["reference"]) < np.ptp(smooth["OpenVINO"])
    assert np.array_equal(smooth["OpenVINO"], plain["OpenVINO"]), "OpenVINO no longer ignores antialias"
PY
echo "as recorded: OpenVINO 2026.4.1 gives the same pixels with antialias=1 as with antialias=0"

#!/usr/bin/env bash
# Up to opset 12 an ONNX Softmax flattens its input at `axis` and normalises over everything from there
# on; from 13 on it normalises along that one axis. OpenVINO runs an opset 11 Softmax of a feature map
# by the later rule, and so does ONNX's own reference evaluator, although both are told the opset.
# ONNX Runtime and tract go by the opset. With axis=1 the sums over a map of 2 x 2 are 1 or 4.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - "$dir/softmax.onnx" <<'PY'
import sys

import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
import tract
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__, "/ tract 0.23.9")
x = np.random.default_rng(0).standard_normal((1, 3, 2, 2)).astype(np.float32)
flat = np.exp(x) / np.exp(x).sum()
along = np.exp(x) / np.exp(x).sum(1, keepdims=True)


def results(opset):
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, list(x.shape)) for n in "xy"]
    graph = helper.make_graph([helper.make_node("Softmax", ["x"], ["y"], axis=1)], "g", info[:1], info[1:])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, sys.argv[1])
    core = ov.Core()
    compiled = core.compile_model(core.read_model(sys.argv[1]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return {
        "ONNX Runtime": ort.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"]).run(None, {"x": x})[0],
        "tract": tract.onnx().load(sys.argv[1]).into_model().into_runnable().run([x])[0].to_numpy(),
        "OpenVINO": compiled(x)[0],
        "reference": ReferenceEvaluator(made).run(None, {"x": x})[0],
    }


for opset in (11, 13):
    for name, y in results(opset).items():
        right = flat if opset < 13 else along
        ok = np.allclose(y, right, atol=1e-5)
        print(f"opset {opset}  {name:13} sum over the map {y.sum():.4f}  {'as specified' if ok else 'DIFFERS'}")
        late = opset < 13 and name in ("OpenVINO", "reference")
        assert np.allclose(y, along if late else right, atol=1e-5), f"{name} behaves differently now"
PY
echo "as recorded: opset 11 is run by opset 13's rule in OpenVINO 2026.4.1 and in onnx 1.23.2's evaluator"

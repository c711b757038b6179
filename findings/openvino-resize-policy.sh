#!/usr/bin/env bash
# Two attributes of ONNX's Resize (opset 18) that OpenVINO accepts and does not carry out:
# keep_aspect_ratio_policy, the way to write "shortest edge to 256" or a letterbox into a graph, is taken for
# "stretch", so the map has another size and the objects another shape; exclude_outside, which renormalises
# bicubic weights at the border, changes nothing. ONNX Runtime and ONNX's evaluator do both.
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
core = ov.Core()
x = np.random.default_rng(0).random((1, 1, 6, 4), np.float32)


def results(inputs, **attributes):
    """Resize of x by ONNX's evaluator, ONNX Runtime and OpenVINO."""
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", *inputs], ["y"], **attributes)],
        "resize",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, None, None])],
        [numpy_helper.from_array(v, n) for n, v in inputs.items() if n],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    data = made.SerializeToString()
    r = ReferenceEvaluator(made).run(None, {"x": x})[0]
    a = ort.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    compiled = core.compile_model(core.read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return r, a, compiled(x)[0]


for policy, size in (("not_larger", (9, 6)), ("not_smaller", (14, 9)), ("stretch", (9, 9))):
    r, a, b = results(
        {"": None, "sizes": np.array([9, 9])},
        mode="linear", axes=[2, 3], keep_aspect_ratio_policy=policy,
    )
    print(f"6 x 4 into 9 x 9, {policy:11}: ONNX Runtime {a.shape[2:]}, OpenVINO {b.shape[2:]}")
    assert r.shape[2:] == a.shape[2:] == size
    assert b.shape[2:] == (9, 9), "OpenVINO knows the policy now"

half = {"scales": np.array([1, 1, 0.5, 0.5], np.float32)}
r, a, b = results(half, mode="cubic", exclude_outside=1)
_, _, without = results(half, mode="cubic", exclude_outside=0)
print(f"exclude_outside=1: OpenVINO differs by {np.abs(a - b).max():.2f} of ONNX Runtime, by {np.abs(b - without).max()} of exclude_outside=0")
assert np.allclose(r, a, atol=1e-5)
assert np.array_equal(b, without) and np.abs(a - b).max() > 0.01, "OpenVINO excludes what lies outside now"
PY
echo "as recorded: OpenVINO accepts keep_aspect_ratio_policy and exclude_outside and ignores them"

#!/usr/bin/env bash
# onnx's own version converter, which lifts an older file to a newer opset, changes what the file computes:
# - Resize of opset 10 and Upsample of opset 9 sample without an offset ("asymmetric"); the converted Resize has
#   no coordinate_transformation_mode, and the default from opset 11 on is half_pixel.
# - Hardmax before opset 13 flattens from `axis` on; the converted node works along `axis` alone. The converter
#   does insert the reshapes for Softmax and LogSoftmax.
# The checker accepts them.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper, version_converter

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__)
ort.set_default_logger_severity(4)
rng = np.random.default_rng(0)


def model(op, opset, shape, *parameters, **attributes):
    names = [f"p{i}" for i in range(len(parameters))]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *names], ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(v, n) for n, v in zip(names, parameters)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made, x):
    session = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


scales = np.array([1, 1, 1.7, 1.7], np.float32)
for made, shape, target, right in (
    (model("Resize", 10, (1, 2, 6, 6), scales, mode="linear"), (1, 2, 6, 6), 13, False),
    (model("Resize", 10, (1, 2, 6, 6), scales, mode="nearest"), (1, 2, 6, 6), 13, False),
    (model("Upsample", 9, (1, 2, 6, 6), scales, mode="linear"), (1, 2, 6, 6), 13, False),
    (model("Hardmax", 11, (2, 3, 4), axis=1), (2, 3, 4), 13, False),
    (model("Softmax", 11, (2, 3, 4), axis=1), (2, 3, 4), 13, True),
    (model("LogSoftmax", 11, (2, 3, 4), axis=1), (2, 3, 4), 13, True),
):
    x = rng.standard_normal(shape).astype(np.float32)
    converted = version_converter.convert_version(made, target)
    onnx.checker.check_model(converted, full_check=True)
    difference = float(np.abs(run(made, x) - run(converted, x)).max())
    node = made.graph.node[0]
    print(f"{node.op_type:10} opset {made.opset_import[0].version} -> {target}: results differ by {difference:.2g}")
    assert (difference < 1e-5) == right, "converted otherwise now"
PY
echo "as recorded: onnx's version converter moves the sampling points of Resize and the axes of Hardmax"

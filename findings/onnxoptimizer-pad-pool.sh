#!/usr/bin/env bash
# onnxoptimizer's fuse_pad_into_pool, one of its default passes, changes results twice. A Pad with zeros
# before a MaxPool is real data to the maximum, but the pool's own padding is left out of it: where all
# inputs are negative the maximum was 0 and becomes negative. And an AveragePool with pads of its own,
# which it did not count, counts them afterwards: a corner divides by 9 in place of 4.
# (Networks that came from TensorFlow pad with a Pad node.) ONNX Runtime optimizes the same files rightly.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxoptimizer==0.4.2
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxoptimizer
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__, "/ onnxoptimizer", onnxoptimizer.__version__)


def padded_pool(op, shape, **attributes):
    graph = helper.make_graph(
        [
            helper.make_node("Pad", ["x", "pads"], ["t"]),  # mode constant, value 0
            helper.make_node(op, ["t"], ["y"], kernel_shape=[3, 3], strides=[2, 2], **attributes),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1], np.int64), "pads")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    return made


def run(made, x, level):
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


off, full = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL
x = -np.ones((1, 1, 4, 4), np.float32)
for made, before, after in (
    (padded_pool("MaxPool", [1, 1, 2, 2]), 0, -1),
    (padded_pool("AveragePool", [1, 1, 3, 3], pads=[1, 1, 1, 1]), -1 / 4, -1 / 9),
):
    small = onnxoptimizer.optimize(made)
    onnx.checker.check_model(small, full_check=True)
    a, b, c = run(made, x, off), run(made, x, full), run(small, x, off)
    op = made.graph.node[1].op_type
    print(f"{op}: as written {a[0, 0, 0]}, ONNX Runtime's optimizer {b[0, 0, 0]}, onnxoptimizer {c[0, 0, 0]}")
    assert [n.op_type for n in small.graph.node] == [op], "the Pad is no longer fused"
    assert np.allclose(a, b) and np.isclose(a[0, 0, 0, 0], before)
    assert np.isclose(c[0, 0, 0, 0], after), "onnxoptimizer's result has changed"
PY
echo "as recorded: onnxoptimizer 0.4.2 moves a Pad into a pool that counts padding in another way"

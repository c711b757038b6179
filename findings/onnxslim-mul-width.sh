#!/usr/bin/env bash
# A convolution, then a Mul by a vector of length W: by the broadcasting rules that vector scales the
# columns of the map. Where W happens to equal the number of channels, OnnxSlim takes it for a factor
# per channel and multiplies it into the convolution's weights. Its result is another function, no error
# is raised, and whether it happens depends on the size of the input: at W = 5 the file is left right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxslim==0.1.98
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import onnxslim
from onnx import TensorProto, helper, numpy_helper

print("onnxruntime", ort.__version__, "/ onnxslim", onnxslim.__version__)
channels = 4


def run(made, x):
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0]


def case(width):
    shape = [1, channels, 3, width]
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((channels, channels, 1, 1)).astype(np.float32)
    columns = np.arange(1, width + 1, dtype=np.float32)
    info = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shape) for n in "xy"]
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["t"]), helper.make_node("Mul", ["t", "k"], ["y"])],
        "g",
        info[:1],
        info[1:],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(columns, "k")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    x = rng.standard_normal(shape).astype(np.float32)
    expected = np.einsum("oi,nihw->nohw", weights[..., 0, 0], x) * columns
    slim = onnxslim.slim(onnx.ModelProto.FromString(made.SerializeToString()))
    a, b = run(made, x), run(slim, x)
    assert np.allclose(a, expected, atol=1e-4)
    per_channel = expected / columns * np.arange(1, channels + 1).reshape(-1, 1, 1)
    print(f"W = {width}: {[n.op_type for n in slim.graph.node]}, largest difference {abs(a - b).max():.2f}")
    return expected, per_channel, b


expected, _, slim = case(5)
assert np.allclose(slim, expected, atol=1e-4)
expected, per_channel, slim = case(channels)
assert not np.allclose(slim, expected, atol=1e-2), "OnnxSlim is right now"
assert np.allclose(slim, per_channel, atol=1e-4), "OnnxSlim is wrong in another way now"
PY
echo "as recorded: OnnxSlim 0.1.98 takes a factor per column for one per channel where W equals C"

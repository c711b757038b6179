#!/usr/bin/env bash
# MNN enlarges a picture with an ONNX Resize of mode cubic. The first output pixels lie before the first
# input pixel, at -0.25 for a factor of two, and MNN takes that coordinate's fraction (0.75) but rounds it
# towards zero where it ought to take the floor, -1. The first row and column come out as if they lay at
# +0.75: of a ramp 0, 1, 2, ... enlarged to twice its size the first value is 0.67 in place of -0.11,
# larger than the second. Everything else agrees with ONNX Runtime.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 MNN==3.6.1
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import subprocess

import MNN.expr
import MNN.nn
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("MNN 3.6.1 / onnxruntime", ort.__version__)


def both(x, shape):
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode="cubic")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(shape, np.int64), "size")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, "resize.onnx")
    convert = "venv/bin/mnnconvert -f ONNX --modelFile resize.onnx --MNNModel resize.mnn --bizCode none"
    subprocess.run(convert.split(), check=True, capture_output=True)
    net = MNN.nn.load_module_from_file("resize.mnn", ["x"], ["y"])
    y = net.forward([MNN.expr.const(x.copy(), list(x.shape), MNN.expr.NCHW)])
    y = np.array(MNN.expr.convert(y[0] if isinstance(y, list) else y, MNN.expr.NCHW).read())
    return ort.InferenceSession("resize.onnx", providers=["CPUExecutionProvider"]).run(None, {"x": x})[0], y


for size, larger, first in ((8, 16, 0.67), (8, 12, 0.77)):
    ramp = np.repeat(np.arange(size, dtype=np.float32)[None], size, 0)[None, None]
    a, b = both(ramp, [1, 1, larger, larger])
    print(f"{size} -> {larger}, a row   ONNX Runtime {np.round(a[0, 0, 4, :4], 2)}   MNN {np.round(b[0, 0, 4, :4], 2)}")
    assert np.allclose(a[..., 1:], b[..., 1:], atol=1e-3)
    assert (a[..., 0] < 0).all() and np.allclose(b[..., 0], first, atol=0.01), "MNN's first column has changed"
    a, b = both(ramp.transpose(0, 1, 3, 2).copy(), [1, 1, larger, larger])
    assert np.allclose(b[:, :, 0], first, atol=0.01), "MNN's first row has changed"
PY
echo "as recorded: MNN 3.6.1 puts the first row and column of a bicubic enlargement in the wrong place"

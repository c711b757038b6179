#!/usr/bin/env bash
# auto_pad="SAME_LOWER" puts the odd row of padding before the map, SAME_UPPER after it. MNN's converter
# takes both for SAME_UPPER when it reads an ONNX pooling: with kernel 2 and stride 2 on an odd map each
# window lies one pixel off. And ONNX's own reference evaluator, which averages rightly here, forgets the
# padding of a MaxPool with SAME_LOWER: it answers a 2 x 2 map for a 5 x 5 one, the checker says 3 x 3.
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
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

print("MNN 3.6.1 / onnx", onnx.__version__, "/ onnxruntime", ort.__version__)
x = np.arange(25, dtype=np.float32).reshape(1, 1, 5, 5)


def results(op, auto_pad):
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2], auto_pad=auto_pad)],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 5, 5])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 3, 3])],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    onnx.save(made, "pool.onnx")
    convert = "venv/bin/mnnconvert -f ONNX --modelFile pool.onnx --MNNModel pool.mnn --bizCode none"
    subprocess.run(convert.split(), check=True, capture_output=True)
    net = MNN.nn.load_module_from_file("pool.mnn", ["x"], ["y"])
    y = net.forward([MNN.expr.const(x.copy(), [1, 1, 5, 5], MNN.expr.NCHW)])
    y = np.array(MNN.expr.convert(y[0] if isinstance(y, list) else y, MNN.expr.NCHW).read())
    session = ort.InferenceSession("pool.onnx", providers=["CPUExecutionProvider"])
    return session.run(None, {"x": x})[0], y, ReferenceEvaluator(made).run(None, {"x": x})[0]


for op in ("MaxPool", "AveragePool"):
    upper, upper_mnn, _ = results(op, "SAME_UPPER")
    lower, lower_mnn, evaluator = results(op, "SAME_LOWER")
    for name, y in (("ONNX Runtime", lower), ("MNN", lower_mnn), ("evaluator", evaluator)):
        print(f"{op} SAME_LOWER  {name:12} {y.shape} first row {y[0, 0, 0]}")
    assert np.allclose(upper, upper_mnn) and not np.allclose(lower, upper)
    assert np.allclose(lower_mnn, upper), "MNN no longer takes SAME_LOWER for SAME_UPPER"
    assert evaluator.shape[-1] == (2 if op == "MaxPool" else 3), "the evaluator's map has another size now"
PY
echo "as recorded: MNN 3.6.1 pads after the map for SAME_LOWER, onnx 1.23.2's MaxPool does not pad"

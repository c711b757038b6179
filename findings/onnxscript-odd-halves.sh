#!/usr/bin/env bash
# onnxscript's optimizer, which torch.onnx.export runs over what it writes, and its rewriter turn two Slices that
# halve the last axis into one Split with num_outputs=2. Of 7 columns the Slices 0:3 and 3:7 make 3 and 4, a Split
# makes 4 and 3 (ONNX: all parts are of one size, but for a smaller last one): the halves trade a column, and
# rotating by half an odd axis, as fftshift does, rotates by one more. It happens where the Slice of the second half
# comes first in the file. A Clip to 0..1 and then one to 2..3 become one with min 2 and max 1, which gives 1
# everywhere and not 2; likewise a Relu after a Clip to -2..-1.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnxscript==0.7.2
nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import onnxscript
from onnx import TensorProto, helper, numpy_helper
from onnxscript import optimizer, rewriter

print("onnxscript", onnxscript.__version__, "/ onnxruntime", ort.__version__)
ort.set_default_logger_severity(3)  # it warns that the sizes of the halves are not those noted in the file, and runs it
node = helper.make_node


def results(nodes, x, constants):
    """What ONNX Runtime makes of a model, and of the model when optimized and when rewritten; its new operators."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, x.shape)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    made = onnx.shape_inference.infer_shapes(made, strict_mode=True)  # the rules look at types of intermediate results
    models = made, optimizer.optimize(made), rewriter.rewrite(made)
    session = [ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]) for m in models]
    return [s.run(None, {"x": x})[0] for s in session], [n.op_type for n in models[1].graph.node]


for columns in (6, 7):
    x = np.arange(columns, dtype=np.float32).reshape(1, columns)
    half = columns // 2
    (before, optimized, rewritten), operators = results(
        [
            node("Slice", ["x", "half", "all", "last"], ["second"]),
            node("Slice", ["x", "zero", "half", "last"], ["first"]),
            node("Concat", ["second", "first"], ["y"], axis=1),
        ],
        x,
        {"zero": [0], "half": [half], "all": [columns], "last": [-1]},
    )
    print(f"{columns} columns, second half first: {before[0]}, optimized ({', '.join(operators)}): {optimized[0]}")
    assert np.array_equal(before, np.concatenate([x[:, half:], x[:, :half]], 1))
    assert np.array_equal(optimized, rewritten)
    assert operators == ["Split", "Concat"], "onnxscript no longer makes a Split of these"
    other = columns - half
    assert np.array_equal(optimized, np.concatenate([x[:, other:], x[:, :other]], 1)), "it splits otherwise now"

x = np.linspace(-3, 3, 5, dtype=np.float32)
scalar = np.float32
for title, nodes, constants, right, wrong in (
    (
        "Clip to 0..1, Clip to 2..3",
        [node("Clip", ["x", "a", "b"], ["t"]), node("Clip", ["t", "c", "d"], ["y"])],
        {"a": scalar(0), "b": scalar(1), "c": scalar(2), "d": scalar(3)},
        2.0,
        1.0,
    ),
    (
        "Clip to -2..-1, Relu",
        [node("Clip", ["x", "a", "b"], ["t"]), node("Relu", ["t"], ["y"])],
        {"a": scalar(-2), "b": scalar(-1)},
        0.0,
        -1.0,
    ),
):
    (before, optimized, rewritten), operators = results(nodes, x, constants)
    print(f"{title}: {before}, optimized ({', '.join(operators)}): {optimized}")
    assert np.all(before == right), "ONNX Runtime clips otherwise now"
    assert np.all(optimized == wrong) and np.array_equal(optimized, rewritten), "onnxscript joins these otherwise now"
PY
echo "as recorded: onnxscript splits an odd axis at the wrong column and joins Clips of disjoint ranges wrongly"

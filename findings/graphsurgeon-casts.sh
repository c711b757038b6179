#!/usr/bin/env bash
# ONNX GraphSurgeon's fold_constants takes Cast to FLOAT, arithmetic, Cast to INT64 for arithmetic on integers,
# removes both Casts and casts the float constant between them: 224 * 0.5 becomes 224 * 0, 224 * 1.5 becomes
# 224 * 1, 224 / 2.5 becomes 224 / 2. Exporters write this for int(height * 1.5): the network below enlarges its
# input by 1.5 and, once folded, hands it through. It needs the types of intermediate results in the file, which
# exporters write. This is part of fold_shapes, on by default, which is said to fold Shape nodes; with
# fold_shapes=False, or with a Floor before the second Cast, the results are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 onnx-graphsurgeon==0.6.1
nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnx_graphsurgeon as gs
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

print("onnx-graphsurgeon", gs.__version__, "/ onnxruntime", ort.__version__)
node = helper.make_node


def model(nodes, kind, x_shape, y_shape, constants):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, x_shape)],
        [helper.make_tensor_value_info("y", kind, y_shape)],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    return onnx.shape_inference.infer_shapes(made, strict_mode=True)


def run(made, x):
    return ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]


def fold(made, **options):
    return gs.export_onnx(gs.import_onnx(made).fold_constants(**options).cleanup())


def scaled(op, factor, *between):
    """An int64 as float32, times or divided by a factor, as int64 again."""
    names = ["h", *(f"t{i}" for i in range(len(between)))]
    nodes = [node("Cast", ["x"], ["f"], to=TensorProto.FLOAT), node(op, ["f", "c"], ["h"])]
    nodes += [node(extra, [a], [b]) for extra, a, b in zip(between, names, names[1:])]
    nodes += [node("Cast", names[-1:], ["y"], to=TensorProto.INT64)]
    return model(nodes, TensorProto.INT64, [1], [1], {"c": np.array(factor, np.float32)})


size = np.array([224])
for op, factor, right, folded in (
    ("Mul", 2.0, 448, 448),
    ("Mul", 0.5, 112, 0),
    ("Mul", 1.5, 336, 224),
    ("Div", 2.5, 89, 112),
):
    made = scaled(op, factor)
    found = run(made, size)[0], run(fold(made), size)[0], run(fold(made, fold_shapes=False), size)[0]
    print(f"int({op} of 224 and {factor}): {found[0]}, folded {found[1]}, with fold_shapes=False {found[2]}")
    assert found == (right, folded, right), "GraphSurgeon folds this otherwise now"
assert run(fold(scaled("Mul", 1.5, "Floor")), size)[0] == 336

enlarge = model(
    [
        node("Shape", ["x"], ["shape"]),
        node("Slice", ["shape", "two", "four"], ["hw"]),
        node("Slice", ["shape", "zero", "two"], ["nc"]),
        node("Cast", ["hw"], ["hw_float"], to=TensorProto.FLOAT),
        node("Mul", ["hw_float", "factor"], ["hw_times"]),
        node("Cast", ["hw_times"], ["hw_int"], to=TensorProto.INT64),
        node("Concat", ["nc", "hw_int"], ["sizes"], axis=0),
        node("Resize", ["x", "", "", "sizes"], ["y"], mode="linear"),
    ],
    TensorProto.FLOAT,
    ["n", 3, "h", "w"],
    ["n", 3, "h1", "w1"],
    {"zero": np.array([0]), "two": np.array([2]), "four": np.array([4]), "factor": np.array(1.5, np.float32)},
)
x = np.zeros((1, 3, 64, 48), np.float32)
before, after = run(enlarge, x).shape, run(fold(enlarge), x).shape
print("a picture of 64 x 48, enlarged by 1.5:", before, "folded:", after)
assert before == (1, 3, 96, 72), "ONNX Runtime resizes otherwise now"
assert after == (1, 3, 64, 48), "GraphSurgeon folds this otherwise now"
PY
echo "as recorded: GraphSurgeon's fold_constants rounds the factor of a size to an integer"

#!/usr/bin/env bash
# A float16 graph whose middle tensor overflows: 300 x 300 is beyond 65504, so y = (x * 300) / 512 is infinite
# from x = 219 on, as NumPy and ONNX's evaluator have it. ONNX Runtime's CPU provider
# computes such a graph in float32 throughout and rounds at its end only, with all optimisations off too: 175.8.
# A converted network whose accuracy was checked on a CPU can still give infinity and NaN where float16 is real.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__)
shape = [1, 1, 1, 4]
x = np.array([1, 100, 300, 1000], np.float16).reshape(shape)
factors = [np.full((1, 1, 1, 1), value, np.float16) for value in (300, 1 / 512)]
with np.errstate(over="ignore"):
    expected = x * factors[0] * factors[1]
assert np.isinf(expected).ravel().tolist() == [False, False, True, True]
for operator in ("Mul", "Conv"):
    graph = helper.make_graph(
        [helper.make_node(operator, ["x", "a"], ["t"]), helper.make_node(operator, ["t", "b"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, shape)],
        [numpy_helper.from_array(value, name) for value, name in zip(factors, "ab", strict=True)],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    reference = ReferenceEvaluator(made).run(None, {"x": x})[0]
    print(f"{operator}: ONNX's evaluator {reference.ravel()}")
    assert np.array_equal(reference, expected)
    for level in ("ORT_DISABLE_ALL", "ORT_ENABLE_ALL"):
        options = ort.SessionOptions()
        options.graph_optimization_level = getattr(ort.GraphOptimizationLevel, level)
        session = ort.InferenceSession(made.SerializeToString(), options, providers=["CPUExecutionProvider"])
        y = session.run(None, {"x": x})[0]
        print(f"{operator}: ONNX Runtime, {level}: {y.ravel()}")
        assert y.dtype == np.float16 and np.isfinite(y).all(), "ONNX Runtime overflows now"
        assert np.allclose(y.ravel()[2:], [175.8, 586], rtol=2e-3)
PY
echo "as recorded: ONNX Runtime keeps float32's range inside a float16 graph"

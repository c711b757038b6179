#!/usr/bin/env bash
# Two options of onnxruntime.quantization's MinMax calibration. CalibMaxIntermediateOutputs, documented to save
# memory and to give the same ranges, clears the outputs collected so far without having looked at them: of
# 100 pictures with a limit of 30 the last 10 decide, and if the limit divides the number, none is left and
# it raises. CalibMovingAverageConstant is stored and never used: the "moving average" is the plain mean over
# all batches, with 0.01 as with 0.99. With both, it is the mean of the last few.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

print("onnxruntime", ort.__version__)
shape = [1, 3, 8, 8]
rng = np.random.default_rng(0)
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1] * 4)],
    "g",
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "x"],
    [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in "y"],
    [numpy_helper.from_array(rng.standard_normal((3, 3, 3, 3)).astype(np.float32), "w")],
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.checker.check_model(made, full_check=True)
onnx.save(made, "float.onnx")
# Pictures of fading contrast: picture i lies within, and reaches, +-(100 - i).
pictures = [np.clip(rng.standard_normal(shape), -1, 1).astype(np.float32) * (100 - i) for i in range(100)]
assert all(p.max() == 100 - i == -p.min() for i, p in enumerate(pictures))


class Reader(CalibrationDataReader):
    def __init__(self, count):
        self.left = iter(pictures[:count])

    def get_next(self):
        picture = next(self.left, None)
        return None if picture is None else {"x": picture}


def largest(count=100, **options):
    """The largest input that the calibrated file can hold, from the scale of its input."""
    quantize_static("float.onnx", "int8.onnx", Reader(count), extra_options=options)
    scale = {i.name: i for i in onnx.load("int8.onnx").graph.initializer}["x_scale"]
    return round(float(numpy_helper.to_array(scale)) * 255 / 2, 2)


for limit, recorded in ((None, 100), (30, 10), (99, 1), (101, 100)):
    found = largest(**({} if limit is None else {"CalibMaxIntermediateOutputs": limit}))
    print(f"100 pictures, the first up to 100, limit {limit}: range +-{found}")
    assert found == recorded, "the limit has another effect now"
try:
    largest(CalibMaxIntermediateOutputs=25)
except ValueError as error:
    print(f"limit 25: ValueError: {error}")
else:
    raise AssertionError("a limit that divides the number of pictures works now")
for constant in (0.01, 0.5, 0.99):
    found = largest(CalibMovingAverage=True, CalibMovingAverageConstant=constant)
    print(f"moving average with constant {constant}: range +-{found}")
    assert found == 50.5, "the constant is used now"
found = largest(CalibMovingAverage=True, CalibMaxIntermediateOutputs=30)
print(f"moving average, limit 30: range +-{found}")
assert found == 5.5
PY
echo "as recorded: calibration forgets what it has collected when it reaches CalibMaxIntermediateOutputs"

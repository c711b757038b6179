#!/usr/bin/env bash
# onnxruntime.quantization's Entropy calibration ought to clip outliers where that loses the least information.
# It compares ranges of 128 of a histogram's bins and more, and quantize_static makes that histogram of 128
# bins over the whole range, without an option for more: there is one range to choose from, the full one, and
# the result is MinMax's, after a longer wait. One stray pixel of 100 among values within +-4 leaves those 20
# of 256 levels. With 2048 bins, which only the lower-level interface takes, the limit is 8.5.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import contextlib
import io

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, quantize_static
from onnxruntime.quantization.calibrate import create_calibrator

print("onnxruntime", ort.__version__)
shape = [1, 3, 16, 16]
rng = np.random.default_rng(0)
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "w"], ["c"], name="conv", pads=[1] * 4), helper.make_node("Relu", ["c"], ["y"])],
    "g",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    [numpy_helper.from_array(rng.standard_normal((3, 3, 3, 3)).astype(np.float32), "w")],
)
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
onnx.checker.check_model(made, full_check=True)
onnx.save(made, "float.onnx")
pictures = [np.clip(rng.standard_normal(shape), -4, 4).astype(np.float32) for _ in range(8)]
pictures[3][0, 0, 8, 8] = 100


class Reader(CalibrationDataReader):
    def __init__(self):
        self.left = iter(pictures)

    def get_next(self):
        picture = next(self.left, None)
        return None if picture is None else {"x": picture}


def scales(method):
    with contextlib.redirect_stdout(io.StringIO()):
        quantize_static("float.onnx", "int8.onnx", Reader(), calibrate_method=method)
    stored = {i.name: i for i in onnx.load("int8.onnx").graph.initializer}
    return {n: float(numpy_helper.to_array(stored[n])) for n in ("x_scale", "y_scale")}


def upper_limit(bins):
    with contextlib.redirect_stdout(io.StringIO()):
        calibrator = create_calibrator(
            "float.onnx", calibrate_method=CalibrationMethod.Entropy, extra_options={"num_bins": bins}
        )
        calibrator.collect_data(Reader())
        return float(calibrator.compute_data()["x"].range_value[1])


minmax, entropy = scales(CalibrationMethod.MinMax), scales(CalibrationMethod.Entropy)
percentile = scales(CalibrationMethod.Percentile)
print("scales by MinMax    ", minmax)
print("scales by Entropy   ", entropy)
print("scales by Percentile", percentile)
few, many = upper_limit(128), upper_limit(2048)
print(f"Entropy's upper limit of the input: {few:.2f} with 128 bins, {many:.2f} with 2048")
print(f"levels between -4 and 4: {8 / entropy['x_scale']:.0f} of 256")
assert all(abs(entropy[n] / minmax[n] - 1) < 1e-5 for n in minmax), "Entropy differs from MinMax now"
assert few == 100 and many < 50, "the number of bins has another effect now"
PY
echo "as recorded: calibration by entropy is calibration by minimum and maximum"

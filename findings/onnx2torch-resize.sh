#!/usr/bin/env bash
# onnx2torch turns an ONNX Resize into torch.nn.functional.interpolate and drops what that cannot say, without a
# word: bilinear and bicubic sampling with "asymmetric" coordinates becomes half-pixel sampling, the cubic
# coefficient -0.5 (Pillow's and TensorFlow's) becomes -0.75, every nearest-neighbour rule becomes the legacy
# "floor of an asymmetric coordinate". CumSum with exclusive=1 shifts nothing. Files from TensorFlow and from opset
# 10 are written in just these modes. It refuses other operators that it does not know.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 onnx==1.23.2 onnxruntime==1.32.0
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 onnx2torch==1.5.15
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import onnx
import onnxruntime as ort
import torch
from importlib.metadata import version
from onnx import TensorProto, helper, numpy_helper

# torchvision's operators need the CUDA build of PyTorch. Two are declared here so that it imports; neither is called.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
import onnx2torch

print("onnx2torch", version("onnx2torch"), "/ torch", torch.__version__, "/ onnxruntime", ort.__version__)
rng = np.random.default_rng(0)


def difference(op, shape, parameters, **attributes):
    """Largest difference of onnx2torch's module from ONNX Runtime, over the largest magnitude."""
    graph = helper.make_graph(
        [helper.make_node(op, ["x", *parameters], ["y"], **attributes)],
        op,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None] * len(shape))],
        [numpy_helper.from_array(v, n) for n, v in parameters.items() if n],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(made, full_check=True)
    x = rng.standard_normal(shape).astype(np.float32)
    a = ort.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    with torch.no_grad():
        b = onnx2torch.convert(made).eval()(torch.from_numpy(x)).numpy()
    assert a.shape == b.shape
    return float(np.abs(a - b).max() / np.abs(a).max())


def resize(**attributes):
    scales = np.array([1, 1, 2, 2], np.float32)
    return difference("Resize", (1, 2, 6, 6), {"": None, "scales": scales}, **attributes)


for right, attributes in (
    (True, dict(mode="linear", coordinate_transformation_mode="half_pixel")),
    (True, dict(mode="linear", coordinate_transformation_mode="align_corners")),
    (False, dict(mode="linear", coordinate_transformation_mode="asymmetric")),
    (True, dict(mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.75)),
    (False, dict(mode="cubic", coordinate_transformation_mode="half_pixel", cubic_coeff_a=-0.5)),
    (True, dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")),
    (False, dict(mode="nearest", coordinate_transformation_mode="half_pixel", nearest_mode="floor")),
    (False, dict(mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="ceil")),
):
    found = resize(**attributes)
    print(f"{found:8.1e}  {attributes}")
    assert (found < 1e-5) == right, "onnx2torch converts this otherwise now"

found = difference("CumSum", (2, 5), {"axis": np.array(1)}, exclusive=1)
print(f"{found:8.1e}  CumSum exclusive=1")
assert found > 0.1, "onnx2torch's CumSum knows exclusive now"
PY
echo "as recorded: onnx2torch drops the coordinate mode, the cubic coefficient and the rounding of a Resize"

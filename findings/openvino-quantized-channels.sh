#!/usr/bin/env bash
# QLinearConv may have a weight scale per output channel, the form in which int8 convolutions are accurate.
# OpenVINO's reader applies the vector along axis 1 of the weight, the input channels. Where a group has as
# many input channels as the convolution has outputs, each weight is multiplied by another channel's scale,
# without a word; elsewhere (every depthwise convolution) reading fails and says that the number of scales
# should be that of axis 1. One scale for the whole weight is read rightly. ONNX Runtime and ONNX's evaluator
# do what the standard says. A QDQ file (DequantizeLinear with axis=0 before a Conv) is the way around.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python - 2>log <<'PY' || { tail log; exit 1; }
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

print("onnx", onnx.__version__, "/ onnxruntime", ort.__version__, "/ openvino", ov.__version__)
rng = np.random.default_rng(0)
core = ov.Core()
core.set_property("CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def outputs_of(inputs, outputs, group, per_channel):
    x = rng.integers(0, 256, (1, inputs, 6, 7)).astype(np.uint8)
    scales = np.geomspace(0.001, 0.1, outputs).astype(np.float32)
    stored = {
        "x_scale": np.float32(0.02), "x_zero": np.uint8(7),
        "w": rng.integers(-128, 128, (outputs, inputs // group, 3, 3)).astype(np.int8),
        "w_scale": scales if per_channel else np.float32(0.01),
        "w_zero": np.zeros(outputs, np.int8) if per_channel else np.int8(0),
        "y_scale": np.float32(3), "y_zero": np.uint8(100),
    }
    node = helper.make_node("QLinearConv", ["x", *stored], ["y"], pads=[1] * 4, group=group)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, [1, outputs, 6, 7])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in stored.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(made, full_check=True)
    raw = made.SerializeToString()
    expected = ReferenceEvaluator(made).run(None, {"x": x})[0].astype(int)
    session = ort.InferenceSession(raw, providers=["CPUExecutionProvider"])
    from_ort = session.run(None, {"x": x})[0].astype(int)
    try:
        from_openvino = core.compile_model(core.read_model(raw), "CPU")({"x": x})[0].astype(int)
    except RuntimeError as error:
        from_openvino = str(error)
    return expected, from_ort, from_openvino


for inputs, outputs, group in ((8, 8, 1), (16, 8, 2), (8, 16, 1), (8, 8, 8)):
    for per_channel in (False, True):
        expected, from_ort, from_openvino = outputs_of(inputs, outputs, group, per_channel)
        assert abs(from_ort - expected).max() <= 1, "ONNX Runtime has other results now"
        kind = "a scale per output" if per_channel else "one scale"
        if isinstance(from_openvino, str):
            said = "not read: " + next(line for line in from_openvino.splitlines() if "scale elements" in line)
        else:
            said = f"at most {abs(from_openvino - expected).max()} of 255 off"
        print(f"{inputs:2} -> {outputs:2} channels, {group} groups, {kind}: {said}")
        if not per_channel:
            assert abs(from_openvino - expected).max() <= 1, "one scale is read in another way now"
        elif inputs // group == outputs:
            assert abs(from_openvino - expected).max() > 20, "OpenVINO reads scales per output channel now"
        else:
            assert isinstance(from_openvino, str), "OpenVINO reads scales per output channel now"
PY
echo "as recorded: openvino 2026.4.1 takes QLinearConv's scales of outputs for scales of inputs"

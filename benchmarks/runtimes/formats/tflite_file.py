"""The network as a LiteRT (TensorFlow Lite) model: NHWC, float32, ReLUs fused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes.formats import tflite_tokens
from benchmarks.runtimes.formats.network import Network, Step
from benchmarks.runtimes.formats.tflite_writer import TfliteWriter

__all__ = ["write_tflite"]

_ACTIVATIONS = {"relu": "RELU", "relu6": "RELU6", "sigmoid": "LOGISTIC", "hard_swish": "HARD_SWISH"}


def write_tflite(network: Network, path: Path) -> None:
    """Input [N, H, W, C], output [N, classes]."""
    writer = TfliteWriter()
    source = network.nodes[0]["name"]
    tensors = {source: writer.tensor(source, _nhwc(network.input_shape))}
    for step in network.steps("Conv2d", "Linear", "Add", "Multiply"):
        tensors[step.output] = _add(writer, network, step, [tensors[n] for n in step.inputs])
    path.write_bytes(writer.to_bytes(tensors[source], tensors[network.output]))


def _add(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    """Append the operators of a step; the index of its result."""
    functions = writer.schema.ActivationFunctionType
    activation = functions.RELU if step.relu else functions.NONE
    if step.kind in tflite_tokens.TRANSLATIONS:
        return tflite_tokens.TRANSLATIONS[step.kind](writer, network, step, inputs)
    if step.kind == "Conv2d":
        return _convolution(writer, network, step, inputs[0], activation)
    if step.kind == "Linear":
        return _linear(writer, network, step, inputs[0], activation)
    if step.kind == "GlobalAvgPool":
        return writer.mean(inputs[0], (1, 2), step.output)
    if step.kind in ("Add", "Multiply"):
        code = {"Add": "ADD", "Multiply": "MUL"}[step.kind]
        left, right = inputs
        return writer.binary(code, left, right, step.output, activation)
    if step.kind == "Concat":
        output = writer.tensor(step.output, _nhwc(network.shapes[step.output]))
        return writer.operator("CONCATENATION", inputs, output, "ConcatenationOptions", axis=3)
    if step.kind == "Activation":
        return _activation(writer, step, inputs[0])
    raise NotImplementedError(
        f"{step.name} is a {step.kind}; expected an operator of an inference form"
    )


def _activation(writer: TfliteWriter, step: Step, source: int) -> int:
    kind = step.attributes["kind"]
    if kind == "silu":
        gate = writer.unary("LOGISTIC", source, f"{step.output}.sigmoid")
        return writer.binary("MUL", source, gate, step.output)
    if kind == "gelu":
        return writer.unary("GELU", source, step.output, "GeluOptions", approximate=False)
    if kind == "hard_sigmoid":
        three, sixth = (
            writer.constant(f"{step.output}.{name}", np.array([value], np.float32))
            for name, value in (("three", 3.0), ("sixth", 1 / 6))
        )
        relu6 = writer.schema.ActivationFunctionType.RELU6
        line = writer.binary("ADD", source, three, f"{step.output}.line", relu6)
        return writer.binary("MUL", line, sixth, step.output)
    if kind not in _ACTIVATIONS:
        raise NotImplementedError(f"{step.name} is {kind}; expected one of {sorted(_ACTIVATIONS)}")
    return writer.unary(_ACTIVATIONS[kind], source, step.output)


def _convolution(
    writer: TfliteWriter, network: Network, step: Step, source: int, activation: int
) -> int:
    """CONV_2D or DEPTHWISE_CONV_2D, with an explicit PAD where "same" would pad otherwise."""
    a = step.attributes
    weight = network.weights[f"{step.name}.weight"]
    depthwise = a["groups"] == a["in_channels"] > 1
    if a["groups"] > 1 and not depthwise:
        raise NotImplementedError(f"{step.name}: {a['groups']} groups; expected 1 or depthwise")
    source, padding = _padded(writer, step, source)
    # Depthwise weights are [1, H, W, C], others [out, H, W, in].
    order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
    bias = network.weights.get(f"{step.name}.bias", np.zeros(a["out_channels"], np.float32))
    operands = [
        source,
        writer.constant(f"{step.name}.weight", weight.transpose(order)),
        writer.constant(f"{step.name}.bias", bias),
    ]
    code, options = ("CONV_2D", "Conv2DOptions")
    fields: dict[str, Any] = {}
    if depthwise:
        code, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
        fields["depthMultiplier"] = a["out_channels"] // a["in_channels"]
    return writer.operator(
        code,
        operands,
        writer.tensor(step.output, _nhwc(network.shapes[step.output])),
        options,
        padding=padding,
        strideH=a["stride"][0],
        strideW=a["stride"][1],
        dilationHFactor=a["dilation"][0],
        dilationWFactor=a["dilation"][1],
        fusedActivationFunction=activation,
        **fields,
    )


def _padded(writer: TfliteWriter, step: Step, source: int) -> tuple[int, int]:
    """The tensor to convolve, and the padding mode that makes it symmetric padding."""
    a = step.attributes
    n, height, width, channels = writer.shape(source)
    wanted = [(p, p) for p in a["padding"]]
    if not any(a["padding"]):
        return source, writer.schema.Padding.VALID
    same = [
        _same_padding(size, kernel, stride, dilation)
        for size, kernel, stride, dilation in zip(
            (height, width), a["kernel_size"], a["stride"], a["dilation"], strict=True
        )
    ]
    if same == wanted:
        return source, writer.schema.Padding.SAME
    amounts = np.array([(0, 0), *wanted, (0, 0)], np.int32)
    shape = (n, height + 2 * a["padding"][0], width + 2 * a["padding"][1], channels)
    by = writer.constant(f"{step.name}.padding", amounts)
    padded = writer.tensor(f"{step.name}.padded", shape)
    return writer.operator("PAD", [source, by], padded, "PadOptions"), writer.schema.Padding.VALID


def _linear(
    writer: TfliteWriter, network: Network, step: Step, source: int, activation: int
) -> int:
    """FULLY_CONNECTED; it flattens [N, 1, 1, C] by itself, and tokens keep their dimensions."""
    shape = network.shapes[step.output]
    names = (f"{step.name}.weight", f"{step.name}.bias")
    operands = [source, *(writer.constant(name, network.weights[name]) for name in names)]
    return writer.operator(
        "FULLY_CONNECTED",
        operands,
        writer.tensor(step.output, shape),
        "FullyConnectedOptions",
        fusedActivationFunction=activation,
        keepNumDims=len(shape) == 3,
    )


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    n, c, h, w = shape
    return n, h, w, c


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's "same": before and after, the odd one after."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2

"""Each operator of a graph as ONNX operators: what `export` writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import pi
from typing import Any

from mobileone.interchange.onnx import quantized
from mobileone.interchange.onnx.writer import Dimension, OnnxWriter

__all__ = ["ACTIVATIONS", "TRANSLATIONS", "Translation", "single"]

Node = Mapping[str, Any]
# As in Graph.onnx_operators: type, names of weights, attributes.
OnnxOperator = tuple[str, list[str], dict[str, Any]]
# Appends a node's operators, given its inputs' tensors; returns the tensor of its result.
Translation = Callable[[OnnxWriter, Node, list[str]], str]


def single(operator: OnnxOperator) -> Translation:
    """Of a node that is one ONNX operator: its type, its weights' names, its attributes."""
    kind, weights, attributes = operator
    return lambda writer, node, inputs: writer.add(kind, *inputs, *weights, **attributes)


def _plain(kind: str, **attributes: Any) -> Translation:
    return single((kind, [], attributes))


def _silu(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    return writer.add("Mul", inputs[0], writer.add("Sigmoid", inputs[0]))


def _gelu(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    scaled = writer.add("Mul", inputs[0], writer.scalar(0.5**0.5))
    doubled = writer.add("Add", writer.add("Erf", scaled), writer.scalar(1.0))
    return writer.add("Mul", writer.add("Mul", inputs[0], writer.scalar(0.5)), doubled)


def _hard_swish(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    gate = writer.add("HardSigmoid", inputs[0], alpha=1 / 6, beta=0.5)
    return writer.add("Mul", inputs[0], gate)


def _relu6(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    return writer.add("Clip", inputs[0], writer.scalar(0.0), writer.scalar(6.0))


def _gelu_tanh(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    square = writer.add("Mul", inputs[0], inputs[0])
    cube = writer.add("Mul", writer.add("Mul", square, inputs[0]), writer.scalar(0.044715))
    argument = writer.add("Mul", writer.add("Add", inputs[0], cube), writer.scalar((2 / pi) ** 0.5))
    doubled = writer.add("Add", writer.add("Tanh", argument), writer.scalar(1.0))
    return writer.add("Mul", writer.add("Mul", inputs[0], writer.scalar(0.5)), doubled)


def _mish(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    return writer.add("Mul", inputs[0], writer.add("Tanh", writer.add("Softplus", inputs[0])))


ACTIVATIONS: dict[str, Translation] = {
    "relu": _plain("Relu"),
    "sigmoid": _plain("Sigmoid"),
    "gelu": _gelu,
    "silu": _silu,
    "hard_sigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_swish": _hard_swish,
    "relu6": _relu6,
    "leaky_relu": _plain("LeakyRelu", alpha=0.01),
    "tanh": _plain("Tanh"),
    "gelu_tanh": _gelu_tanh,
    "mish": _mish,
}


def _activation(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    kind = node["attributes"]["kind"]
    if kind not in ACTIVATIONS:
        raise NotImplementedError(f"{node['name']}: activation {kind} cannot be exported to ONNX")
    return ACTIVATIONS[kind](writer, node, inputs)


def _linear(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    weight, *bias = writer.parameters(node["name"], "weight", "bias")
    rank = len(writer.shapes[node["inputs"][0]])
    if rank == 2 or rank != len(writer.shapes[node["name"]]):
        flat = writer.add("Flatten", inputs[0], axis=1)
        return writer.add("Gemm", flat, weight, *bias, transB=1)
    product = writer.add("MatMul", inputs[0], writer.add("Transpose", weight, perm=[1, 0]))
    return writer.add("Add", product, *bias) if bias else product


def _layer_norm(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    weight, bias = writer.parameters(node["name"], "weight", "bias")
    eps = node["attributes"]["eps"]
    if writer.opset >= 17:
        return writer.add("LayerNormalization", inputs[0], weight, bias, axis=-1, epsilon=eps)
    mean = writer.add("ReduceMean", inputs[0], axes=[-1])
    centred = writer.add("Sub", inputs[0], mean)
    square = writer.add("Mul", centred, centred)
    variance = writer.add("ReduceMean", square, axes=[-1])
    deviation = writer.add("Sqrt", writer.add("Add", variance, writer.scalar(eps)))
    normalised = writer.add("Div", centred, deviation)
    return writer.add("Add", writer.add("Mul", normalised, weight), bias)


def _attention(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    heads, features = node["attributes"]["heads"], writer.channels(node["name"])
    size = features // heads
    # [B, N, 3 d] -> [3, B, heads, N, head size]
    packed = writer.reshape(inputs[0], 0, 0, 3, heads, size)
    packed = writer.add("Transpose", packed, perm=[2, 0, 3, 1, 4])
    query, key, value = (
        writer.add("Gather", packed, writer.scalar(part), axis=0) for part in range(3)
    )
    query = writer.add("Mul", query, writer.scalar(size**-0.5))
    scores = writer.add("MatMul", query, writer.add("Transpose", key, perm=[0, 1, 3, 2]))
    weighted = writer.add("MatMul", writer.add("Softmax", scores, axis=-1), value)
    together = writer.add("Transpose", weighted, perm=[0, 2, 1, 3])
    return writer.reshape(together, 0, 0, features)


def _unfold(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    rows, columns = node["attributes"]["patch"]
    channels = writer.channels(node["name"])
    height, width = writer.extents(inputs[0], node["inputs"][0])
    down = writer.arithmetic("Div", height, rows)
    across = writer.arithmetic("Div", width, columns)
    split = writer.reshape(inputs[0], 0, channels, down, rows, across, columns)
    sequences = writer.add("Transpose", split, perm=[0, 3, 5, 2, 4, 1])
    return writer.reshape(sequences, -1, writer.arithmetic("Mul", down, across), channels)


def _fold(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    rows, columns = node["attributes"]["patch"]
    channels = writer.channels(node["name"])
    height, width = writer.extents(inputs[1], node["inputs"][1])
    down = writer.arithmetic("Div", height, rows)
    across = writer.arithmetic("Div", width, columns)
    split = writer.reshape(inputs[0], -1, rows, columns, down, across, channels)
    image = writer.add("Transpose", split, perm=[0, 5, 3, 1, 4, 2])
    return writer.reshape(image, 0, channels, height, width)


def _resize(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    height, width = writer.extents(inputs[0], node["inputs"][0])
    if len(inputs) == 2:
        wanted = writer.extents(inputs[1], node["inputs"][1])
    else:
        fields = node["attributes"]
        rows, columns = (
            _multiple(writer, writer.arithmetic("Mul", extent, scale), factor)
            for extent, scale, factor in zip(
                (height, width), fields["scale"], fields["multiple"], strict=True
            )
        )
        wanted = rows, columns
    if (height, width) == wanted:
        return inputs[0]
    shape = writer.add("Shape", inputs[0])
    batch = writer.add("Gather", shape, writer.integers(0), axis=0)
    sizes = writer.vector([batch, writer.channels(node["name"]), *wanted])
    centres = "half_pixel"
    return writer.add(
        "Resize", inputs[0], "", "", sizes, mode="linear", coordinate_transformation_mode=centres
    )


def _multiple(writer: OnnxWriter, extent: Dimension, factor: int) -> Dimension:
    """The next multiple."""
    count = writer.arithmetic("Div", writer.arithmetic("Add", extent, factor - 1), factor)
    return writer.arithmetic("Mul", count, factor)


def _reduce(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    kinds = {"mean": "ReduceMean", "sum": "ReduceSum", "norm": "ReduceL2"}
    kind, axes = kinds[node["attributes"]["kind"]], list(node["attributes"]["axes"])
    if writer.opset >= 18 or kind == "ReduceSum":
        return writer.add(kind, inputs[0], writer.integers(*axes), keepdims=1)
    return writer.add(kind, inputs[0], axes=axes, keepdims=1)


def _reshape(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    return writer.reshape(inputs[0], *node["attributes"]["shape"])


def _slice(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    fields = node["attributes"]
    bounds = (fields[name] for name in ("start", "end", "axis", "step"))
    return writer.add("Slice", inputs[0], *(writer.integers(bound) for bound in bounds))


def _pad(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    fields = node["attributes"]
    pads = writer.integers(*fields["before"], *fields["after"])
    return writer.add("Pad", inputs[0], pads, writer.scalar(fields["value"]))


def _expand(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    rank = len(writer.shapes[node["inputs"][0]])
    batch = writer.add("Gather", writer.add("Shape", inputs[1]), writer.integers(0), axis=0)
    return writer.add("Expand", inputs[0], writer.vector([batch, *[1] * (rank - 1)]))


def _dynamic_max(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    """The maximum of pieces that have one term each: a x, or a x + b."""
    fields = node["attributes"]
    if fields["terms"] != 1:
        raise NotImplementedError(
            f"{node['name']}: DynamicMax of {fields['terms']} terms cannot be exported to ONNX"
        )
    share = 1 if fields["shared"] else fields["channels"]

    def vector(index: int, factor: float, constant: float) -> str:
        bounds = (writer.integers(bound) for bound in (index * share, (index + 1) * share, 1))
        scaled = writer.add("Mul", writer.add("Slice", inputs[1], *bounds), writer.scalar(factor))
        return writer.add("Add", scaled, writer.scalar(constant)) if constant else scaled

    def piece(index: int) -> str:
        slope = writer.add("Mul", inputs[0], vector(index, 2.0, -1.0 if index else 0.0))
        if not fields["offsets"]:
            return slope
        return writer.add("Add", slope, vector(fields["pieces"] + index, 1.0, -0.5))

    return writer.add("Max", *(piece(index) for index in range(fields["pieces"])))


def _dropout(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    """Nothing in eval mode, in which networks are exported."""
    return inputs[0]


# Of operators that are not one of ONNX's: the graph's `onnx_operators` has the others.
TRANSLATIONS: dict[str, Translation] = {
    "Activation": _activation,
    "Linear": _linear,
    "LayerNorm": _layer_norm,
    "Attention": _attention,
    "Unfold": _unfold,
    "Fold": _fold,
    "Resize": _resize,
    "DynamicMax": _dynamic_max,
    "Dropout": _dropout,
    "Expand": _expand,
    "Pad": _pad,
    "Quantize": quantized.quantize,
    "Dequantize": quantized.dequantize,
    "QuantizedConvolution": quantized.convolve_integers,
    "Reduce": _reduce,
    "Reshape": _reshape,
    "Slice": _slice,
}

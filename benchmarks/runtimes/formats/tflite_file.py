"""The network as a LiteRT (TensorFlow Lite) model: NHWC, float32, ReLUs fused.

Written with the schema that the runtime ships: the converters need TensorFlow or JAX, hundreds of
megabytes, to arrive at the same operators.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.formats.network import Network, Step

__all__ = ["write_tflite"]

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"


def write_tflite(network: Network, path: Path) -> None:
    """Input [N, H, W, C], output [N, classes]."""
    import flatbuffers

    writer = _Writer(network)
    for step in network.steps("Conv2d", "Linear", "Add", "Multiply"):
        writer.add(step)
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(writer.finish().Pack(builder), _IDENTIFIER)
    path.write_bytes(bytes(builder.Output()))


class _Writer:
    """Collects tensors, buffers and operators of the only subgraph."""

    def __init__(self, network: Network) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self.network = network
        self.codes: list[int] = []
        self.buffers = [schema.BufferT()]  # buffer 0 is the empty one, by definition
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.index: dict[str, int] = {}
        source = network.nodes[0]["name"]
        self.index[source] = self.tensor(source, _nhwc(network.input_shape))

    def tensor(
        self, name: str, shape: tuple[int, ...], value: npt.NDArray[Any] | None = None
    ) -> int:
        """The index of a new tensor; a constant if it has a value."""
        made = self.schema.TensorT()
        made.name, made.shape = name, list(shape)
        is_index = value is not None and value.dtype == np.int32
        types = self.schema.TensorType
        made.type = types.INT32 if is_index else types.FLOAT32
        made.buffer = 0
        if value is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            made.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(made)
        return len(self.tensors) - 1

    def constant(self, name: str, value: npt.NDArray[Any]) -> int:
        """The index of a constant tensor."""
        return self.tensor(name, value.shape, value)

    def operator(
        self, code: str, inputs: list[int], output: int, options: str = "", **o: Any
    ) -> None:
        """Append an operator; ``options`` names its options table, ``o`` its fields."""
        builtin = getattr(self.schema.BuiltinOperator, code)
        if builtin not in self.codes:
            self.codes.append(builtin)
        made = self.schema.OperatorT()
        made.opcodeIndex = self.codes.index(builtin)
        made.inputs, made.outputs = inputs, [output]
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, value in o.items():
                setattr(made.builtinOptions, name, value)
        self.operators.append(made)

    def add(self, step: Step) -> None:
        """Append the operators of a step."""
        shape = self.network.shapes[step.output]
        inputs = [self.index[name] for name in step.inputs]
        is_linear = step.kind == "Linear"
        output = self.tensor(step.output, shape if is_linear else _nhwc(shape))
        self.index[step.output] = output
        functions = self.schema.ActivationFunctionType
        activation = functions.RELU if step.relu else functions.NONE
        if step.kind == "Conv2d":
            self.convolution(step, inputs[0], output, activation)
        elif is_linear:
            self.linear(step, inputs[0], output, activation)
        elif step.kind == "GlobalAvgPool":
            axes = self.constant(f"{step.name}.axes", np.array([1, 2], np.int32))
            self.operator("MEAN", [inputs[0], axes], output, "ReducerOptions", keepDims=True)
        elif step.kind in ("Add", "Multiply"):
            code, options = {"Add": ("ADD", "AddOptions"), "Multiply": ("MUL", "MulOptions")}[
                step.kind
            ]
            self.operator(code, inputs, output, options, fusedActivationFunction=activation)
        elif step.kind == "Activation":
            code = {"relu": "RELU", "sigmoid": "LOGISTIC"}[step.attributes["kind"]]
            self.operator(code, inputs, output)
        else:
            raise NotImplementedError(
                f"{step.name} is a {step.kind}; expected an operator of an inference form"
            )

    def convolution(self, step: Step, source: int, output: int, activation: int) -> None:
        """CONV_2D or DEPTHWISE_CONV_2D, with an explicit PAD where "same" would pad otherwise."""
        a = step.attributes
        weight = self.network.weights[f"{step.name}.weight"]
        depthwise = a["groups"] == a["in_channels"] == a["out_channels"] > 1
        if a["groups"] > 1 and not depthwise:
            raise NotImplementedError(f"{step.name}: {a['groups']} groups; expected 1 or depthwise")
        source, padding = self.padded(step, source)
        # Depthwise weights are [1, H, W, C], others [out, H, W, in].
        order = (1, 2, 3, 0) if depthwise else (0, 2, 3, 1)
        bias = self.network.weights.get(
            f"{step.name}.bias", np.zeros(a["out_channels"], np.float32)
        )
        operands = [
            source,
            self.constant(f"{step.name}.weight", weight.transpose(order)),
            self.constant(f"{step.name}.bias", bias),
        ]
        code, options = ("CONV_2D", "Conv2DOptions")
        fields: dict[str, Any] = {}
        if depthwise:
            code, options = "DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions"
            fields["depthMultiplier"] = 1
        self.operator(
            code,
            operands,
            output,
            options,
            padding=padding,
            strideH=a["stride"][0],
            strideW=a["stride"][1],
            dilationHFactor=a["dilation"][0],
            dilationWFactor=a["dilation"][1],
            fusedActivationFunction=activation,
            **fields,
        )

    def padded(self, step: Step, source: int) -> tuple[int, int]:
        """The tensor to convolve, and the padding mode that makes it symmetric padding."""
        a = step.attributes
        n, height, width, channels = self.tensors[source].shape
        wanted = [(p, p) for p in a["padding"]]
        if not any(a["padding"]):
            return source, self.schema.Padding.VALID
        same = [
            _same_padding(size, kernel, stride, dilation)
            for size, kernel, stride, dilation in zip(
                (height, width), a["kernel_size"], a["stride"], a["dilation"], strict=True
            )
        ]
        if same == wanted:
            return source, self.schema.Padding.SAME
        amounts = np.array([(0, 0), *wanted, (0, 0)], np.int32)
        shape = (n, height + 2 * a["padding"][0], width + 2 * a["padding"][1], channels)
        padded = self.tensor(f"{step.name}.padded", shape)
        by = self.constant(f"{step.name}.padding", amounts)
        self.operator("PAD", [source, by], padded, "PadOptions")
        return padded, self.schema.Padding.VALID

    def linear(self, step: Step, source: int, output: int, activation: int) -> None:
        """FULLY_CONNECTED; it flattens [N, 1, 1, C] by itself."""
        weights = self.network.weights
        names = (f"{step.name}.weight", f"{step.name}.bias")
        operands = [source, *(self.constant(name, weights[name]) for name in names)]
        self.operator(
            "FULLY_CONNECTED",
            operands,
            output,
            "FullyConnectedOptions",
            fusedActivationFunction=activation,
        )

    def finish(self) -> Any:
        """The model."""
        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        graph.inputs = [self.index[self.network.nodes[0]["name"]]]
        graph.outputs = [self.index[self.network.output]]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = _SCHEMA_VERSION, [graph], self.buffers
        model.operatorCodes = []
        for code in self.codes:
            made = schema.OperatorCodeT()
            # All codes in use are below the 127 that the older field can hold.
            made.builtinCode = made.deprecatedBuiltinCode = code
            made.version = 1
            model.operatorCodes.append(made)
        return model


def _nhwc(shape: tuple[int, ...]) -> tuple[int, ...]:
    n, c, h, w = shape
    return n, h, w, c


def _same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """TensorFlow's "same": before and after, the odd one after."""
    reach = (kernel - 1) * dilation + 1
    total = max((-(-size // stride) - 1) * stride + reach - size, 0)
    return total // 2, total - total // 2

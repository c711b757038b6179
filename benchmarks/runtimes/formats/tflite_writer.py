"""Tensors, buffers and operators of a LiteRT (TensorFlow Lite) model with one subgraph.

Written with the schema that the runtime ships: the converters need TensorFlow or JAX, hundreds of
megabytes, to arrive at the same operators.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["SIGNATURE", "TfliteWriter"]

# The name of the one way of calling the model, whose input is "x" and whose result is "y".
SIGNATURE = "serving_default"

_SCHEMA_VERSION = 3
_IDENTIFIER = b"TFL3"


class TfliteWriter:
    """Appends to the subgraph; tensors are named and referred to by their index."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema: Any = schema
        self._codes: list[int] = []
        self._buffers = [schema.BufferT()]  # buffer 0 is the empty one, by definition
        self._tensors: list[Any] = []
        self._operators: list[Any] = []

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
            made.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(made)
        return len(self._tensors) - 1

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Of the tensor of that index."""
        return tuple(self._tensors[tensor].shape)

    def constant(self, name: str, value: npt.NDArray[Any]) -> int:
        """The index of a constant tensor."""
        return self.tensor(name, value.shape, value)

    def operator(
        self, code: str, inputs: list[int], output: int, options: str = "", **o: Any
    ) -> int:
        """Append an operator; ``options`` names its options table, ``o`` its fields."""
        builtin = getattr(self.schema.BuiltinOperator, code)
        if builtin not in self._codes:
            self._codes.append(builtin)
        made = self.schema.OperatorT()
        made.opcodeIndex = self._codes.index(builtin)
        made.inputs, made.outputs = inputs, [output]
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, value in o.items():
                setattr(made.builtinOptions, name, value)
        self._operators.append(made)
        return output

    def binary(self, code: str, left: int, right: int, name: str, activation: int = 0) -> int:
        """ADD, SUB or MUL into a new tensor, by NumPy's broadcasting."""
        shape = np.broadcast_shapes(self.shape(left), self.shape(right))
        options = f"{code.capitalize()}Options"
        output = self.tensor(name, shape)
        return self.operator(
            code, [left, right], output, options, fusedActivationFunction=activation
        )

    def unary(self, code: str, source: int, name: str, options: str = "", **o: Any) -> int:
        """An elementwise operator into a new tensor."""
        return self.operator(code, [source], self.tensor(name, self.shape(source)), options, **o)

    def mean(self, source: int, axes: tuple[int, ...], name: str) -> int:
        """The mean over axes, which become 1."""
        shape = tuple(1 if i in axes else n for i, n in enumerate(self.shape(source)))
        over = self.constant(f"{name}.axes", np.array(axes, np.int32))
        output = self.tensor(name, shape)
        return self.operator("MEAN", [source, over], output, "ReducerOptions", keepDims=True)

    def reshape(self, source: int, shape: tuple[int, ...], name: str) -> int:
        """The same values in another shape."""
        wanted = self.constant(f"{name}.shape", np.array(shape, np.int32))
        output = self.tensor(name, shape)
        return self.operator(
            "RESHAPE", [source, wanted], output, "ReshapeOptions", newShape=list(shape)
        )

    def transpose(self, source: int, order: tuple[int, ...], name: str) -> int:
        """Axes in another order."""
        shape = self.shape(source)
        permutation = self.constant(f"{name}.order", np.array(order, np.int32))
        output = self.tensor(name, tuple(shape[axis] for axis in order))
        return self.operator("TRANSPOSE", [source, permutation], output, "TransposeOptions")

    def _signature(self, source: int, result: int) -> Any:
        made = self.schema.SignatureDefT()
        made.signatureKey, made.subgraphIndex = SIGNATURE, 0
        made.inputs, made.outputs = [], []
        for places, name, tensor in ((made.inputs, "x", source), (made.outputs, "y", result)):
            place = self.schema.TensorMapT()
            place.name, place.tensorIndex = name, tensor
            places.append(place)
        return made

    def to_bytes(self, source: int, result: int) -> bytes:
        """The model that maps one tensor to another."""
        import flatbuffers

        schema = self.schema
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [source], [result]
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = _SCHEMA_VERSION, [graph], self._buffers
        model.signatureDefs = [self._signature(source, result)]
        model.operatorCodes = []
        for code in self._codes:
            made = schema.OperatorCodeT()
            made.builtinCode = code
            made.deprecatedBuiltinCode = min(code, 127)  # all that the older field can hold
            made.version = 1
            model.operatorCodes.append(made)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

"""What a file says of its values: types and shapes, as far as they are known."""

from __future__ import annotations

from typing import Any

from mobileone.checkpoint.containers.onnx_document import Document, require_onnx
from mobileone.interchange.onnx.fuse.constants import Constants

__all__ = ["Values"]

# Operators whose weight has the rank of their input.
_CONVOLUTIONS = ("Conv", "ConvTranspose")
Shape = tuple[int | None, ...]


class Values:
    """Element types and shapes by name; None stands for an extent that is open."""

    def __init__(self, document: Document, constants: Constants) -> None:
        self._shapes: dict[str, Shape] = {}
        self._types: dict[str, int] = {}
        graph = document.model.graph
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._note(value)
        inferred = self._inferred(document.model)
        if inferred is not None:
            for value in (*inferred.graph.value_info, *inferred.graph.output):
                self._note(value)
        for tensor in graph.initializer:
            self._shapes[tensor.name] = tuple(tensor.dims)
            self._types[tensor.name] = tensor.data_type
        for node in graph.node:
            if node.op_type in _CONVOLUTIONS and len(node.input) > 1 and node.output:
                self._note_convolution(node)

    @staticmethod
    def _inferred(model: Any) -> Any:
        """The model with what ONNX infers; None where it finds a contradiction."""
        onnx = require_onnx()
        try:
            return onnx.shape_inference.infer_shapes(model, data_prop=True)
        except Exception:  # of several classes, and not of this file's other regions
            return None

    def _note(self, value: Any) -> None:
        if not value.type.HasField("tensor_type"):
            return
        tensor = value.type.tensor_type
        if tensor.elem_type:
            self._types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            self._shapes[value.name] = tuple(
                dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim
            )

    def _note_convolution(self, node: Any) -> None:
        """After an operator unknown to ONNX, a convolution still tells ranks and channels."""
        weight = self._shapes.get(node.input[1])
        if weight is None or len(weight) < 3:
            return
        groups = next((a.i for a in node.attribute if a.name == "group"), 1)
        ends = (
            (node.input[0], (weight[1] or 0) * groups or None),
            (node.output[0], weight[0]),
        )
        if node.op_type != "Conv":
            ends = (node.input[0], weight[0]), (node.output[0], (weight[1] or 0) * groups or None)
        for name, channels in ends:
            self._shapes.setdefault(name, (None, channels, *(None,) * (len(weight) - 2)))

    def rank(self, name: str) -> int | None:
        """Number of dimensions; None if it is not known."""
        shape = self._shapes.get(name)
        return None if shape is None else len(shape)

    def shape(self, name: str) -> Shape | None:
        """The extents; None if not even their number is known."""
        return self._shapes.get(name)

    def extent(self, name: str, axis: int) -> int | None:
        """Along an axis; None if it is not known."""
        shape = self._shapes.get(name)
        return shape[axis] if shape is not None and -len(shape) <= axis < len(shape) else None

    def element_type(self, name: str) -> int | None:
        """As in TensorProto.data_type; None if it is not known."""
        return self._types.get(name)

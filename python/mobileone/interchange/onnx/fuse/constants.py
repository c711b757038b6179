"""What a graph's constants are: initializers, Constant nodes, and what is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.onnx_document import DTYPES, STANDARD, Document

__all__ = ["Constants"]

Array = npt.NDArray[Any]
# (attributes, operands, operator set) -> result. What does not fit raises ValueError, TypeError,
# IndexError or KeyError.
_Fold = Callable[[Mapping[str, Any], list[Array], int], Array]
_MAX_ELEMENTS, _MAX_DEPTH = 1 << 26, 16


def _axes(attributes: Mapping[str, Any], operands: list[Array]) -> list[int]:
    """Of Squeeze and Unsqueeze: an attribute up to operator set 12, an input since."""
    if len(operands) > 1:
        return [int(axis) for axis in operands[1].reshape(-1)]
    return [int(axis) for axis in attributes.get("axes", ())]


def _reshape(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
    values, shape = operands
    if attributes.get("allowzero", 0):
        return values.reshape([int(extent) for extent in shape])
    return values.reshape([int(e) or values.shape[i] for i, e in enumerate(shape)])


def _unsqueeze(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
    return np.expand_dims(operands[0], tuple(_axes(attributes, operands)))


def _squeeze(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
    return np.squeeze(operands[0], tuple(_axes(attributes, operands)) or None)


def _transpose(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
    return np.transpose(operands[0], attributes.get("perm"))


def _cast(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
    return operands[0].astype(DTYPES[attributes["to"]])


def _elementwise(function: Callable[..., Any]) -> _Fold:
    def fold(attributes: Mapping[str, Any], operands: list[Array], opset: int) -> Array:
        if any(not np.issubdtype(operand.dtype, np.floating) for operand in operands):
            raise TypeError("not floating point")
        return np.asarray(function(*(operand.astype(np.float64) for operand in operands)))

    return fold


_FOLDS: dict[str, _Fold] = {
    "Identity": lambda attributes, operands, opset: operands[0],
    "Reshape": _reshape,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Cast": _cast,
    "Neg": _elementwise(np.negative),
    "Sqrt": _elementwise(np.sqrt),
    "Reciprocal": _elementwise(np.reciprocal),
    "Add": _elementwise(np.add),
    "Sub": _elementwise(np.subtract),
    "Mul": _elementwise(np.multiply),
    "Div": _elementwise(np.divide),
}


class Constants:
    """The values of names that never change, read or computed when they are asked for."""

    def __init__(self, document: Document, opset: int) -> None:
        """Of a document's main graph, whose nodes are in topological order."""
        self._document = document
        self._opset = opset
        graph = document.model.graph
        # Since IR version 4 an initializer that is an input, too, is a default for that input.
        given = {value.name for value in graph.input} if document.model.ir_version >= 4 else set()
        self._tensors = {t.name: t for t in graph.initializer if t.name not in given}
        self._folded: dict[str, tuple[Any, int]] = {}
        for node in graph.node:
            if node.domain in STANDARD and len(node.output) == 1:
                self._note(node)

    def _note(self, node: Any) -> None:
        output = node.output[0]
        if node.op_type == "Constant":
            if [attribute.name for attribute in node.attribute] == ["value"]:
                self._tensors[output] = node.attribute[0].t
            elif node.attribute and node.attribute[0].name in ("value_float", "value_floats"):
                self._folded[output] = (node, 0)
        elif node.op_type in _FOLDS and node.input and all(name in self for name in node.input):
            depth = 1 + max(self._folded.get(name, (None, 0))[1] for name in node.input)
            if depth <= _MAX_DEPTH:
                self._folded[output] = (node, depth)

    def __contains__(self, name: str) -> bool:
        return name in self._tensors or name in self._folded

    def sources(self, name: str) -> list[str]:
        """The initializers that a constant is read or computed from."""
        if name in self._tensors:
            return [name]
        node, _ = self._folded.get(name, (None, 0))
        return [] if node is None else [s for given in node.input for s in self.sources(given)]

    def get(self, name: str) -> Array | None:
        """The value; what is computed of floating point, in float64. None if there is none.

        Raises:
            CheckpointError: a tensor's bytes do not fit its shape, or are not there.
        """
        if name in self._tensors:
            return self._document.array(self._tensors[name])
        node, _ = self._folded.get(name, (None, 0))
        if node is None:
            return None
        attributes = _attributes(node)
        if node.op_type == "Constant":
            values = next(iter(attributes.values()))
            return np.array(values, np.float32)
        operands = [self.get(given) for given in node.input]
        found = [operand for operand in operands if operand is not None]
        if len(found) < len(operands):
            return None
        try:
            if np.prod(np.broadcast_shapes(*(o.shape for o in found)), dtype=float) > _MAX_ELEMENTS:
                return None
        except ValueError:
            pass  # operands of other roles than elements
        try:
            with np.errstate(all="ignore"):
                return _FOLDS[node.op_type](attributes, found, self._opset)
        except (ValueError, TypeError, IndexError, KeyError, OverflowError):
            return None


def _attributes(node: Any) -> dict[str, Any]:
    from onnx import helper

    return {a.name: helper.get_attribute_value(a) for a in node.attribute}

"""Which operators are affine maps, how each is read, and the attributes that it is read by."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from mobileone.interchange.onnx.fuse.ops import elementwise, matrices, windows
from mobileone.interchange.onnx.fuse.ops.node import Context, Node, Recognised
from mobileone.util.errors import shown

__all__ = ["FIRST_OPSET", "recognise"]

# Below it, operators broadcast by attributes and batch norms train unless they are told not to.
FIRST_OPSET = 7


_INTEGERS = ("dilations", "kernel_shape", "pads", "strides")
_INTEGER = (
    *("allowzero", "axis", "ceil_mode", "count_include_pad", "group", "seed", "spatial"),
    *("training_mode", "transA", "transB"),
)
_FLOAT = ("alpha", "beta", "epsilon", "momentum", "ratio", "value")
_TEXT = ("auto_pad", "mode")
_TYPES: dict[str, type] = {
    **dict.fromkeys(_INTEGERS, list),
    **dict.fromkeys(_INTEGER, int),
    **dict.fromkeys(_FLOAT, float),
    **dict.fromkeys(_TEXT, bytes),
}


class _Row(NamedTuple):
    read: Callable[[Node, Context], Recognised]
    attributes: tuple[str, ...] = ()
    inputs: tuple[int, int] = (1, 1)  # least and most


_ANY = (1, 1 << 16)
_WINDOW = ("auto_pad", "dilations", "kernel_shape", "pads", "strides")
_NORM = ("epsilon", "momentum", "spatial", "training_mode")
_TABLE = {
    "Add": _Row(elementwise.addition, inputs=(2, 2)),
    "AveragePool": _Row(windows.average_pool, (*_WINDOW, "ceil_mode", "count_include_pad")),
    "BatchNormalization": _Row(elementwise.batch_norm, _NORM, (5, 5)),
    "Conv": _Row(windows.convolution, (*_WINDOW, "group"), (2, 3)),
    "Div": _Row(elementwise.ratio, inputs=(2, 2)),
    "Dropout": _Row(elementwise.dropout, ("ratio", "seed"), (1, 3)),
    "Flatten": _Row(elementwise.reshaping, ("axis",)),
    "Gemm": _Row(matrices.gemm, ("alpha", "beta", "transA", "transB"), (2, 3)),
    "Identity": _Row(elementwise.identity),
    "MatMul": _Row(matrices.matmul, inputs=(2, 2)),
    "Mean": _Row(elementwise.mean, inputs=_ANY),
    "Mul": _Row(elementwise.product, inputs=(2, 2)),
    "Neg": _Row(elementwise.negation),
    "Pad": _Row(windows.pad, ("mode", "pads", "value"), (1, 4)),
    "Reshape": _Row(elementwise.reshaping, ("allowzero",), (2, 2)),
    "Sub": _Row(elementwise.difference, inputs=(2, 2)),
    "Sum": _Row(elementwise.total, inputs=_ANY),
}


def recognise(node: Node, context: Context) -> Recognised | None:
    """The node as an affine map, a sum, or why it is neither; None if its operator never is."""
    row = _TABLE.get(node.kind)
    if row is None:
        return None
    for name, value in node.attributes.items():
        if name not in row.attributes:
            return f"an unknown attribute {shown(name)!r}"
        whole = all(isinstance(v, int) for v in value) if isinstance(value, list) else True
        if not isinstance(value, _TYPES[name]) or not whole:
            return f"an attribute {name} of another type"
    least, most = row.inputs
    if not least <= len(node.inputs) <= most or not all(node.inputs[:least]):
        return f"{len(node.inputs)} inputs; expected {least} to {most}"
    return row.read(node, context)

"""Affine operators of ONNX on float64 arrays, as the standard defines them: the oracle of a region.

It reads the nodes themselves and knows nothing of how regions are found and computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.kernel import Float64
from mobileone.interchange.onnx.fuse.ops.node import Node

__all__ = ["Interpreter"]

Lookup = Callable[[str], npt.NDArray[Any]]


class Interpreter:
    """Runs nodes.

    Args:
        constants: the value of a name that never changes.
        opset: the version of the standard operator set.
        magnitudes: whether every number is replaced by its magnitude and every difference by a sum,
            so that results are sums of the magnitudes of all terms.
    """

    def __init__(self, constants: Lookup, opset: int, magnitudes: bool = False) -> None:
        self._constants = constants
        self._opset = opset
        self._magnitudes = magnitudes
        self.terms = 0

    def run(self, nodes: list[Node], values: Mapping[str, Float64]) -> Float64:
        """The last node's result; `terms` then counts the roundings on the longest way, or more."""
        known = dict(values)
        for node in nodes:
            operands = [self._operand(name, known) for name in node.inputs]
            known[node.output] = _OPERATORS[node.kind](self, node, operands)
        return known[nodes[-1].output]

    def _operand(self, name: str, known: Mapping[str, Float64]) -> Any:
        if not name:
            return None
        if name in known:
            return known[name]
        constant = self._constants(name)
        if not np.issubdtype(constant.dtype, np.floating):
            return constant
        constant = constant.astype(np.float64)
        return np.abs(constant) if self._magnitudes else constant

    def _count(self, terms: int) -> None:
        self.terms += terms

    def _negative(self, x: Float64) -> Float64:
        return x if self._magnitudes else -x

    def conv(self, node: Node, operands: list[Any]) -> Float64:
        """Conv."""
        x, weight, *bias = operands
        groups = node.attributes.get("group", 1)
        self._count(math.prod(weight.shape[1:]) + 1)
        windows, sizes = self._windows(node, x, weight.shape[2:])
        result: Any = 0.0
        for tap, view in windows:
            pixels = view.reshape(len(x), groups, -1, math.prod(sizes))
            place: Any = (Ellipsis, *tap)
            rows = weight[place].reshape(groups, -1, weight.shape[1])
            result = result + (rows @ pixels if weight.shape[1] > 1 else rows * pixels)
        result = result.reshape(len(x), weight.shape[0], *sizes)
        if bias and bias[0] is not None:
            result = result + bias[0].reshape(-1, *(1 for _ in sizes))
        return np.asarray(result)

    def average_pool(self, node: Node, operands: list[Any]) -> Float64:
        """AveragePool, its divisor the window's area."""
        kernel = tuple(node.attributes["kernel_shape"])
        self._count(math.prod(kernel) + 1)
        windows, _ = self._windows(node, operands[0], kernel)
        return np.asarray(sum(view for _, view in windows) / math.prod(kernel))

    def _windows(
        self, node: Node, x: Float64, kernel: tuple[int, ...]
    ) -> tuple[list[tuple[tuple[int, ...], Float64]], list[int]]:
        """What each tap of a window sees, and the extents of that."""
        rank, attributes = len(kernel), node.attributes
        strides = attributes.get("strides", [1] * rank)
        dilations = attributes.get("dilations", [1] * rank)
        reaches = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        pads = list(attributes.get("pads", [0] * (2 * rank)))
        automatic = attributes.get("auto_pad", b"NOTSET")
        if automatic == b"VALID":
            pads = [0] * (2 * rank)
        elif automatic.startswith(b"SAME"):
            totals = [
                max((math.ceil(n / s) - 1) * s + r - n, 0)
                for n, s, r in zip(x.shape[2:], strides, reaches, strict=True)
            ]
            less, more = [t // 2 for t in totals], [t - t // 2 for t in totals]
            pads = less + more if automatic == b"SAME_UPPER" else more + less
        x = np.pad(x, [(0, 0), (0, 0), *zip(pads[:rank], pads[rank:], strict=True)])
        sizes = [(n - r) // s + 1 for n, r, s in zip(x.shape[2:], reaches, strides, strict=True)]
        views = []
        for tap in product(*map(range, kernel)):
            places: Any = [slice(None)] * 2
            places += [
                slice(t * d, t * d + (n - 1) * s + 1, s)
                for t, d, n, s in zip(tap, dilations, sizes, strides, strict=True)
            ]
            views.append((tap, x[tuple(places)]))
        return views, sizes

    def batch_norm(self, node: Node, operands: list[Any]) -> Float64:
        """BatchNormalization by its running statistics."""
        x = operands[0]
        one = (-1, *(1,) * (x.ndim - 2))
        scale, shift, mean = (array.reshape(one) for array in operands[1:4])
        self._count(6)
        # Of the variance itself: a larger one would make the gain smaller than it is.
        variance = self._constants(node.inputs[4]).astype(np.float64).reshape(one)
        gain = scale / np.sqrt(variance + node.attributes.get("epsilon", 1e-5))
        return np.asarray((x + self._negative(mean)) * gain + shift)

    def pad(self, node: Node, operands: list[Any]) -> Float64:
        """Pad with zeros; negative amounts crop."""
        x = operands[0]
        pads = list(node.attributes["pads"] if self._opset < 11 else operands[1])
        axes = operands[3] if len(operands) > 3 and operands[3] is not None else range(x.ndim)
        for index, axis in enumerate(axes):
            before, after = int(pads[index]), int(pads[index + len(axes)])
            margins = [(0, 0)] * x.ndim
            margins[axis] = (max(before, 0), max(after, 0))
            x = np.pad(x, margins)
            x = x.take(range(max(-before, 0), x.shape[axis] - max(-after, 0)), axis=int(axis))
        return np.asarray(x)

    def gemm(self, node: Node, operands: list[Any]) -> Float64:
        """Gemm."""
        x, matrix, *vector = operands
        matrix = matrix.T if node.attributes.get("transB", 0) else matrix
        self._count(len(matrix) + 3)
        alpha, beta = (node.attributes.get(name, 1.0) for name in ("alpha", "beta"))
        if self._magnitudes:
            alpha, beta = abs(alpha), abs(beta)
        result = alpha * (x @ matrix)
        if vector and vector[0] is not None:
            result = result + beta * vector[0]
        return np.asarray(result)

    def matmul(self, node: Node, operands: list[Any]) -> Float64:
        """MatMul by a matrix."""
        self._count(len(operands[1]) + 1)
        return np.asarray(operands[0] @ operands[1])

    def reshape(self, node: Node, operands: list[Any]) -> Float64:
        """To rows of features: what leading axes they are in changes nothing here."""
        return np.asarray(operands[0].reshape(-1, operands[0].shape[-1]))

    def elementwise(self, node: Node, operands: list[Any]) -> Float64:
        """What has one result per element."""
        self._count(len(operands) + 1)
        first = operands[0]
        if node.kind == "Neg":
            return self._negative(first)
        if node.kind in ("Identity", "Dropout"):
            return np.asarray(first)
        if node.kind == "Sub":
            return np.asarray(first + self._negative(operands[1]))
        if node.kind == "Mul":
            return np.asarray(first * operands[1])
        if node.kind == "Div":
            return np.asarray(first / operands[1])
        whole = np.asarray(sum(operands[1:], start=first))
        return whole / len(operands) if node.kind == "Mean" else whole


_OPERATORS: dict[str, Callable[[Interpreter, Node, list[Any]], Float64]] = {
    "Conv": Interpreter.conv,
    "AveragePool": Interpreter.average_pool,
    "BatchNormalization": Interpreter.batch_norm,
    "Pad": Interpreter.pad,
    "Gemm": Interpreter.gemm,
    "MatMul": Interpreter.matmul,
    "Reshape": Interpreter.reshape,
    "Flatten": Interpreter.reshape,
    **dict.fromkeys(
        ("Add", "Sub", "Mul", "Div", "Neg", "Sum", "Mean", "Identity", "Dropout"),
        Interpreter.elementwise,
    ),
}

"""Operators that mix features along the last axis: products with constant matrices."""

from __future__ import annotations

import numpy as np

from mobileone.interchange.onnx.fuse.geometry import Geometry
from mobileone.interchange.onnx.fuse.kernel import Kernel
from mobileone.interchange.onnx.fuse.ops.node import Context, Linear, Node, Recognised

__all__ = ["gemm", "matmul"]


def matmul(node: Node, context: Context) -> Recognised:
    """MatMul with a constant matrix on the right."""
    matrix = context.constant(node.input(1))
    if matrix is None or matrix.ndim != 2 or not matrix.size:
        return "its right operand is not a constant matrix"
    geometry = Geometry((), *matrix.shape)

    def numbers() -> Kernel:
        return Kernel(geometry, matrix.T.astype(np.float64), np.zeros(matrix.shape[1]))

    flat = context.values.rank(node.input(0)) == 2
    return Linear(node.input(0), geometry, numbers, heavy=True, flat=flat)


def gemm(node: Node, context: Context) -> Recognised:
    """Gemm with a constant matrix and vector."""
    matrix, vector = context.constant(node.input(1)), context.constant(node.input(2))
    if matrix is None or matrix.ndim != 2 or not matrix.size or node.attributes.get("transA", 0):
        return "its right operand is not a constant matrix, or its left one is transposed"
    if node.input(2) and (vector is None or vector.ndim > 2):
        return "what it adds is not constant"
    transposed = node.attributes.get("transB", 0)
    alpha, beta = (node.attributes.get(name, 1.0) for name in ("alpha", "beta"))
    outputs, inputs = matrix.shape if transposed else matrix.shape[::-1]
    if vector is not None and vector.shape not in ((outputs,), (1, outputs), (1,), (), (1, 1)):
        return f"it adds a constant of shape {vector.shape} to {outputs} features"
    bias = np.zeros(outputs)
    if vector is not None:
        bias = bias + beta * vector.reshape(-1).astype(np.float64)
    geometry = Geometry((), inputs, outputs, biased=bool(np.any(bias)))

    def numbers() -> Kernel:
        rows = matrix if transposed else matrix.T
        return Kernel(geometry, alpha * rows.astype(np.float64), bias)

    return Linear(node.input(0), geometry, numbers, heavy=True, flat=True)

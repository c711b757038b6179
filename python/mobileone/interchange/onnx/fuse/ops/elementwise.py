"""Operators that scale and shift: batch norms, arithmetic with constants, sums, identities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.geometry import UNIFORM, Axis, Geometry
from mobileone.interchange.onnx.fuse.kernel import IDENTITY, Kernel, uniform
from mobileone.interchange.onnx.fuse.ops.node import Context, Linear, Node, Recognised, Sum

__all__ = ["addition", "batch_norm", "dropout", "identity", "mean", "negation", "product", "ratio"]
__all__ += ["difference", "reshaping", "total"]

_Array = npt.NDArray[Any]


def identity(node: Node, context: Context) -> Recognised:
    """Identity."""
    return Linear(node.input(0), UNIFORM, lambda: IDENTITY, free=True)


def negation(node: Node, context: Context) -> Recognised:
    """Neg."""
    return Linear(node.input(0), UNIFORM, lambda: uniform(-1.0))


def dropout(node: Node, context: Context) -> Recognised:
    """Dropout, which does nothing in inference."""
    training = context.constants.get(node.input(2)) if node.input(2) else np.zeros(1)
    if training is None or training.any() or any(node.outputs[1:]):
        return "dropout in training mode"
    return Linear(node.input(0), UNIFORM, lambda: IDENTITY, free=True)


def batch_norm(node: Node, context: Context) -> Recognised:
    """BatchNormalization by its running statistics."""
    attributes, source = node.attributes, node.input(0)
    if attributes.get("training_mode", 0) or any(node.outputs[1:]):
        return "a batch norm in training mode"
    if not attributes.get("spatial", 1):
        return "a batch norm that is not spatial"
    rank = context.values.rank(source)
    if rank is None or rank < 2:
        return "a batch norm of a value of unknown rank"
    given = [context.constant(node.input(index)) for index in range(1, 5)]
    arrays = [array.astype(np.float64) for array in given if array is not None]
    if len(arrays) < 4:
        return "its statistics are not constant"
    scale, shift, moved, variance = arrays
    if scale.ndim != 1 or any(array.shape != scale.shape for array in arrays):
        return f"statistics of shapes {[array.shape for array in arrays]}"
    epsilon = attributes.get("epsilon", 1e-5)
    with np.errstate(all="ignore"):
        gain = scale / np.sqrt(variance + epsilon)
        return _per_channel(source, gain, shift - moved * gain, rank - 2)


def _per_channel(source: str, gain: _Array, shift: _Array, axes: int) -> Recognised:
    """A factor and a summand per channel; `axes` counts the spatial ones."""
    if not (np.isfinite(gain).all() and np.isfinite(shift).all()):
        return "its factors are not finite"
    channels = len(gain)
    biased = bool(np.any(shift))
    geometry = Geometry((Axis(),) * axes, channels, channels, channels, biased)
    weight = np.asarray(gain, np.float64).reshape(channels, 1, *(1,) * axes)
    return Linear(source, geometry, lambda: Kernel(geometry, weight, shift.astype(np.float64)))


def _with_constant(
    node: Node, context: Context, source: str, constant: str, parts: Callable[[_Array], Any]
) -> Recognised:
    """`parts` makes a factor and a summand of the constant."""
    value = context.constant(constant)
    if value is None or not value.size:
        return "one of its operands changes with the input, or has an unknown type"
    with np.errstate(all="ignore"):
        gain, shift = (np.asarray(part) for part in parts(value.astype(np.float64)))
    gain, shift = np.broadcast_to(gain, value.shape), np.broadcast_to(shift, value.shape)
    shape = context.values.shape(source)
    if value.size == 1 and (value.ndim == 0 or (shape is not None and value.ndim <= len(shape))):
        factor, summand = float(gain.reshape(())), float(shift.reshape(()))
        if not (np.isfinite(factor) and np.isfinite(summand)):
            return "its factor is not finite"
        return Linear(source, Geometry(None, biased=summand != 0), lambda: uniform(factor, summand))
    if shape is None or len(shape) < 2 or value.ndim > len(shape):
        return "a constant beside a value of unknown rank"
    long = [i - value.ndim for i, extent in enumerate(value.shape) if extent > 1]
    if len(long) != 1:
        return f"a constant of shape {value.shape}, which is not one number per channel"
    axis = len(shape) + long[0]
    if axis not in (1, len(shape) - 1):
        return f"a constant of shape {value.shape}, which is not one number per channel"
    if shape[axis] != value.size:
        return f"a constant of shape {value.shape} for {shape[axis]} channels"
    # Along the last axis of three and more, it is features; along axis 1, channels.
    axes = len(shape) - 2 if axis == 1 else 0
    return _per_channel(source, gain.reshape(-1), shift.reshape(-1), axes)


def product(node: Node, context: Context) -> Recognised:
    """Mul by a constant."""
    source, constant = _operands(node, context)
    if not constant:
        return "a product of two values"
    return _with_constant(node, context, source, constant, lambda c: (c, 0.0))


def ratio(node: Node, context: Context) -> Recognised:
    """Div by a constant."""
    if node.input(1) not in context.constants:
        return "a division by a value"
    return _with_constant(
        node, context, node.input(0), node.input(1), lambda c: (np.reciprocal(c), 0.0)
    )


def addition(node: Node, context: Context) -> Recognised:
    """Add of a constant, or of two values."""
    source, constant = _operands(node, context)
    if not constant:
        return Sum(tuple((name, 1.0) for name in node.inputs))
    return _with_constant(node, context, source, constant, lambda c: (1.0, c))


def difference(node: Node, context: Context) -> Recognised:
    """Sub with a constant, or of two values."""
    source, constant = _operands(node, context)
    if not constant:
        return Sum(((node.input(0), 1.0), (node.input(1), -1.0)))
    if constant == node.input(1):
        return _with_constant(node, context, source, constant, lambda c: (1.0, -c))
    return _with_constant(node, context, source, constant, lambda c: (-1.0, c))


def _operands(node: Node, context: Context) -> tuple[str, str]:
    """Value and constant; "" if both are values."""
    first, second = node.input(0), node.input(1)
    if second in context.constants:
        return first, second
    return (second, first) if first in context.constants else (first, "")


def total(node: Node, context: Context) -> Recognised:
    """Sum of values."""
    if any(name in context.constants for name in node.inputs):
        return "a sum with constants among its terms"
    return Sum(tuple((name, 1.0) for name in node.inputs))


def mean(node: Node, context: Context) -> Recognised:
    """Mean of values."""
    if any(name in context.constants for name in node.inputs):
        return "a mean with constants among its terms"
    return Sum(tuple((name, 1.0 / len(node.inputs)) for name in node.inputs))


def reshaping(node: Node, context: Context) -> Recognised:
    """Reshape and Flatten, where the last axis stays as it is."""
    before, after = (context.values.shape(name) for name in (node.input(0), node.output))
    if not before or not after or before[-1] is None or before[-1] != after[-1]:
        return "the last axis changes"
    if min(len(before), len(after)) < 2 or before[-1] < 2:
        return "nothing that features lie along"
    geometry = Geometry((), before[-1], before[-1], before[-1], reshapes=(node.output,))
    weight = np.ones((before[-1], 1))
    bias = np.zeros(before[-1])
    return Linear(node.input(0), geometry, lambda: Kernel(geometry, weight, bias), free=True)

"""The nodes that a region becomes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.geometry import Axis
from mobileone.interchange.onnx.fuse.kernel import Float64, Kernel
from mobileone.interchange.onnx.fuse.ops.node import Node

__all__ = ["Replacement", "replacement"]


@dataclass(frozen=True)
class Replacement:
    """Nodes in topological order, and the initializers that they read.

    Attributes:
        nodes: the first `count` compute the map; those after give its result a shape.
        tensors: initializers by name.
        result: the map's result, before it is reshaped.
    """

    nodes: list[Node]
    count: int
    result: str
    tensors: dict[str, npt.NDArray[Any]]


def replacement(
    kernel: Kernel,
    source: str,
    output: str,
    label: str,
    dtype: npt.DTypeLike,
    fresh: Callable[[str], str],
    flat: bool,
    reshapes: list[Node],
) -> Replacement | None:
    """A map as nodes of the file; None where its numbers do not fit the file's type.

    Args:
        kernel: the map.
        source, output: names of the values.
        label: name of the node.
        dtype: what the file computes in; weights are rounded to it once.
        fresh: makes a name that is not taken from one that may be.
        flat: whether the source is [N, C].
        reshapes: nodes that give the result its shape, in order.
    """
    geometry = kernel.geometry
    weight = kernel.weight
    attributes: dict[str, Any] = {}
    if geometry.axes:
        weight, attributes = _window(kernel)
    elif geometry.groups > 1:
        weight = _dense(kernel)
    with np.errstate(over="ignore"):
        weight, bias = weight.astype(dtype), kernel.bias.astype(dtype)
    if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
        return None
    names = [source, fresh(f"{output}.weight"), fresh(f"{output}.bias")][: 2 + geometry.biased]
    tensors = dict(zip(names[1:], (weight, bias), strict=False))
    result = output if not reshapes else fresh(f"{output}.flat")
    if geometry.axes or flat:
        kind = "Conv" if geometry.axes else "Gemm"
        nodes = [Node(label, kind, tuple(names), (result,), attributes or {"transB": 1})]
    else:
        tensors[names[1]] = np.ascontiguousarray(weight.T)
        product = fresh(f"{output}.product") if geometry.biased else result
        nodes = [Node(label, "MatMul", tuple(names[:2]), (product,), {})]
        if geometry.biased:
            nodes.append(Node(fresh(f"{output}.add"), "Add", (product, names[2]), (result,), {}))
    count, following = len(nodes), result
    for index, node in enumerate(reshapes):
        last = index == len(reshapes) - 1
        inputs = (following, *node.inputs[1:])
        following = output if last else fresh(f"{output}.reshaped")
        again = fresh(node.name or output)
        nodes.append(Node(again, node.kind, inputs, (following,), node.attributes))
    return Replacement(nodes, count, result, tensors)


def _window(kernel: Kernel) -> tuple[Float64, dict[str, Any]]:
    """Weights and attributes of a Conv, whose paddings are never negative."""
    axes, margins = [], []
    for axis in kernel.geometry.axes or ():
        before, after = (-(min(p, 0) // axis.step) for p in axis.padding)
        first, count = axis.first - before * axis.step, axis.count + before + after
        axes.append(Axis(first, axis.step, count, axis.stride, axis.slack))
        margins.append((before, after))
    weight = np.pad(kernel.weight, [(0, 0), (0, 0), *margins])
    paddings = [axis.padding for axis in axes]
    return weight, {
        "kernel_shape": [axis.count for axis in axes],
        "strides": [axis.stride for axis in axes],
        "dilations": [axis.step for axis in axes],
        "pads": [before for before, _ in paddings] + [after for _, after in paddings],
        "group": kernel.geometry.groups,
    }


def _dense(kernel: Kernel) -> Float64:
    """A matrix in blocks as a whole one."""
    geometry = kernel.geometry
    groups, rows = geometry.groups, geometry.outputs // geometry.groups
    result = np.zeros((groups, rows, groups, geometry.inputs // groups))
    for group in range(groups):
        result[group, :, group] = kernel.weight.reshape(groups, rows, -1)[group]
    return result.reshape(geometry.outputs, geometry.inputs)

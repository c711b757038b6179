"""ONNX operators of one graph as they are made, in topological order."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Dimension", "OnnxWriter"]

# A number, or the name of a tensor [1] with a number that depends on the image size.
Dimension = int | str

Arrays = Mapping[str, npt.NDArray[Any]]

_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": operator.add,
    "Mul": operator.mul,
    "Div": operator.floordiv,
}


class OnnxWriter:
    """Collects nodes, the weights that they read, and constants.

    Attributes:
        nodes: onnx.NodeProto in topological order.
        used: names of weights in the order of their first use.
        constants: integer and float32 tensors by name.
        opset: version of ONNX's operator set.
        shapes: of every node's result for one image, of any size unless it is fixed.
        fixed_size: whether the image size is fixed.
    """

    def __init__(
        self,
        make_node: Callable[..., Any],
        weights: Arrays,
        opset: int,
        shapes: Mapping[str, tuple[int, ...]],
        fixed_size: bool,
    ) -> None:
        self.nodes: list[Any] = []
        self.used: dict[str, None] = {}
        self.constants: dict[str, npt.NDArray[Any]] = {}
        self.opset = opset
        self.shapes = shapes
        self.fixed_size = fixed_size
        self._make_node = make_node
        self._weights = weights
        self._prefix = ""
        self._kinds: dict[str, int] = {}

    def begin(self, name: str) -> None:
        """What `add` makes from now on belongs to the graph's node `name`."""
        self._prefix = name
        self._kinds = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append an operator; its result."""
        count = self._kinds[kind] = self._kinds.get(kind, 0) + 1
        label = f"{self._prefix}.{kind}" + (f"_{count}" if count > 1 else "")
        self.nodes.append(self._make_node(kind, [*inputs], [label], name=label, **attributes))
        self.used |= dict.fromkeys(name for name in inputs if name in self._weights)
        return label

    def finish(self, result: str) -> None:
        """Give the last operator the graph node's name, and its result the name `result`."""
        self.nodes[-1].name = self._prefix
        self.nodes[-1].output[0] = result

    def integers(self, *values: int) -> str:
        """A constant [len(values)] of 64-bit integers."""
        name = "constant." + "_".join(str(value) for value in values)
        self.constants[name] = np.array(values, np.int64)
        return name

    def scalar(self, value: float) -> str:
        """A constant []: an index if it is an int, else float32."""
        name = f"constant.scalar_{value!r}"
        self.constants[name] = np.array(value, np.int64 if isinstance(value, int) else np.float32)
        return name

    def byte(self, value: int) -> str:
        """A constant [] of 8 bits without a sign."""
        name = f"constant.byte_{value}"
        self.constants[name] = np.array(value, np.uint8)
        return name

    def channels(self, node: str) -> int:
        """Of the map, or features of the tokens, that the graph's node makes."""
        shape = self.shapes[node]
        return shape[-1] if len(shape) == 3 else shape[1]

    def parameters(self, node: str, *names: str) -> list[str]:
        """Those of the node's weights that exist."""
        return [f"{node}.{name}" for name in names if f"{node}.{name}" in self._weights]

    def extents(self, tensor: str, node: str) -> tuple[Dimension, Dimension]:
        """Height and width of the map that the graph's node `node` makes."""
        if self.fixed_size:
            _, _, height, width = self.shapes[node]
            return height, width
        shape = self.add("Shape", tensor)
        height_name, width_name = (
            self.add("Gather", shape, self.integers(axis), axis=0) for axis in (2, 3)
        )
        return height_name, width_name

    def vector(self, dimensions: Sequence[Dimension]) -> str:
        """A tensor [len(dimensions)], such as a shape."""
        if all(isinstance(value, int) for value in dimensions):
            return self.integers(*(int(value) for value in dimensions))
        parts = [self.integers(v) if isinstance(v, int) else v for v in dimensions]
        return self.add("Concat", *parts, axis=0)

    def arithmetic(self, kind: str, a: Dimension, b: Dimension) -> Dimension:
        """The sum ("Add"), product ("Mul") or floor quotient ("Div") of two dimensions."""
        if isinstance(a, int) and isinstance(b, int):
            return _ARITHMETIC[kind](a, b)
        left, right = (self.integers(v) if isinstance(v, int) else v for v in (a, b))
        return self.add(kind, left, right)

    def reshape(self, tensor: str, *dimensions: Dimension) -> str:
        """Reshape; 0 keeps the dimension at its place, -1 takes what is left."""
        return self.add("Reshape", tensor, self.vector(dimensions))

"""What an operator is recognised as, and from what."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.constants import Constants
from mobileone.interchange.onnx.fuse.geometry import Geometry, Reason
from mobileone.interchange.onnx.fuse.kernel import Kernel
from mobileone.interchange.onnx.fuse.values import Values

__all__ = ["Context", "Linear", "Node", "Recognised", "Sum"]


@dataclass(frozen=True)
class Node:
    """A node of the file.

    Attributes:
        name, kind: of the node, and of its operator.
        inputs, outputs: names of values; "" for one that is left out.
        attributes: by name; strings as bytes.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]

    @property
    def output(self) -> str:
        """The first result."""
        return self.outputs[0]

    def input(self, index: int) -> str:
        """The name of an input; "" if it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""


@dataclass(frozen=True)
class Linear:
    """A node that is an affine map of one value.

    Attributes:
        source: the value.
        geometry: of the map.
        kernel: computes its numbers.
        heavy: whether it is a convolution, a pooling or a matrix product, not elementwise.
        weighted: whether the file has weights for it.
        flat: whether its value is known to be [N, C].
        free: whether it only passes its value on, which runtimes leave out.
    """

    source: str
    geometry: Geometry
    kernel: Callable[[], Kernel]
    heavy: bool = False
    weighted: bool = True
    flat: bool = False
    free: bool = False

    @property
    def operands(self) -> tuple[str, ...]:
        """The values that it reads."""
        return (self.source,)


@dataclass(frozen=True)
class Sum:
    """A node that adds values, each with a factor."""

    terms: tuple[tuple[str, float], ...]

    @property
    def operands(self) -> tuple[str, ...]:
        """The values that it reads."""
        return tuple(name for name, _ in self.terms)


Recognised = Linear | Sum | Reason


@dataclass(frozen=True)
class Context:
    """What is known of the file around a node."""

    opset: int
    constants: Constants
    values: Values

    def constant(self, name: str) -> npt.NDArray[Any] | None:
        """A constant of floating point; None of anything else."""
        value = self.constants.get(name) if name else None
        return value if value is not None and np.issubdtype(value.dtype, np.floating) else None

    def integers(self, name: str) -> list[int] | None:
        """A constant list of integers; None of anything else."""
        value = self.constants.get(name) if name else None
        if value is None or not np.issubdtype(value.dtype, np.integer) or value.size > 64:
            return None
        return [int(v) for v in value.reshape(-1)]

    def channels(self, name: str) -> int:
        """Extent of a value's axis 1; 0 if it is not known."""
        return self.values.extent(name, 1) or 0

"""The nodes of a graph as they are made, and only those that its results need."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mobileone._core import Graph, GraphBuilder, Network
from mobileone.checkpoint.graphs.statement import Array

__all__ = ["GraphWriter", "Made", "Tensor"]

# Bytes of weights that several nodes share, beyond a few copies of all.
_MAX_COPIES, _MAX_SHARED = 4, 1 << 26


@dataclass(frozen=True)
class Tensor:
    """A node's result.

    Attributes:
        node: its name.
        shape: for images of the program's own shape.
        batch: the axis of the images; None where it is the same for all.
    """

    node: str
    shape: tuple[int, ...]
    batch: int | None = 0


@dataclass(frozen=True)
class Made:
    """A node: what it is and reads."""

    kind: str
    inputs: tuple[Tensor, ...]
    attributes: dict[str, Any]
    weights: dict[str, Array] = field(default_factory=dict)


class GraphWriter:
    """Collects nodes.

    Attributes:
        nodes: by name, in topological order.
        shapes: of their results.
    """

    def __init__(self) -> None:
        self.nodes: dict[str, Made] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}

    def add(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Tensor],
        shape: Sequence[int],
        weights: Mapping[str, Array] | None = None,
        /,
        *,
        batch: int | None = 0,
        **attributes: Any,
    ) -> Tensor:
        """Append a node; a number follows its name where that is taken."""
        unique, count = name, 1
        while unique in self.nodes:
            count += 1
            unique = f"{name}.{count}"
        arrays = {
            suffix: np.ascontiguousarray(array, np.float32)
            for suffix, array in (weights or {}).items()
        }
        self.nodes[unique] = Made(kind, tuple(inputs), attributes, arrays)
        self.shapes[unique] = tuple(int(extent) for extent in shape)
        return Tensor(unique, self.shapes[unique], batch)

    def insert(self, before: str, name: str, node: Made, shape: Sequence[int]) -> Tensor:
        """Put a node in front of another one; its name is one that is free."""
        while name in self.nodes:
            name += "_"
        made = Tensor(name, tuple(shape))
        nodes, shapes = self.nodes, self.shapes
        self.nodes, self.shapes = {}, {}
        for other, own in nodes.items():
            if other == before:
                self.nodes[name], self.shapes[name] = node, made.shape
            self.nodes[other], self.shapes[other] = own, shapes[other]
        return made

    def made(self, tensor: Tensor) -> Made:
        """The node that makes a tensor."""
        return self.nodes[tensor.node]

    def build(self, outputs: Mapping[str, Tensor], features: Sequence[str]) -> Network:
        """The network of what the outputs depend on; the first one is the main one."""
        needed = self.needed(outputs.values())
        place = {name: index for index, name in enumerate(self.nodes)}
        builder, weights = GraphBuilder(), {}
        # Constants after the images: nothing lies between operators that are run as one.
        first = {"Input": 0, "Constant": 1}
        for name in sorted(needed, key=lambda n: (first.get(self.nodes[n].kind, 2), place[n])):
            node = self.nodes[name]
            builder.add(name, node.kind, [given.node for given in node.inputs], **node.attributes)
            for suffix, array in node.weights.items():
                weights[f"{name}.{suffix}"] = array
        for key, tensor in outputs.items():
            builder.output(tensor.node, key)
        for name in features:
            builder.feature(name)
        _check_copies(weights.values())
        graph: Graph = builder.build()
        for name, _, dtype, _ in graph.parameters():
            if dtype == "int64":
                weights[name] = np.zeros((), np.int64)
        return Network(graph, weights)

    def needed(self, outputs: Any) -> set[str]:
        """The names of the nodes that these tensors depend on."""
        found: set[str] = set()
        waiting = [tensor.node for tensor in outputs]
        while waiting:
            name = waiting.pop()
            if name not in found:
                found.add(name)
                waiting += [given.node for given in self.nodes[name].inputs]
        return found


def _check_copies(weights: Collection[Array]) -> None:
    """ValueError where nodes share weights so often that their copies exhaust memory."""
    unique = {(array.ctypes.data, array.nbytes) for array in weights}
    held, copied = sum(size for _, size in unique), sum(array.nbytes for array in weights)
    if copied > _MAX_COPIES * held + _MAX_SHARED:
        raise ValueError(f"its nodes share {held} bytes of weights, which would become {copied}")

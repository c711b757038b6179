"""Every value of a graph as an affine map of the values before it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from mobileone.interchange.onnx.fuse.geometry import (
    UNIFORM,
    Geometry,
    Reason,
    compose,
    join,
)
from mobileone.interchange.onnx.fuse.graph import MainGraph
from mobileone.interchange.onnx.fuse.kernel import IDENTITY, Kernel, add, chain, uniform
from mobileone.interchange.onnx.fuse.ops.node import Context, Linear, Node, Sum
from mobileone.interchange.onnx.fuse.ops.table import FIRST_OPSET, recognise

__all__ = ["Forms", "forms_of"]

# The nearest values, as maps of which a value is known; and the most nodes of a region.
_MAX_SOURCES, _MAX_NODES = 32, 256
# Operators that a reader of the report expects to be merged; being no affine map is the rule of
# the others.
_EXPECTED = {"AveragePool", "BatchNormalization", "Conv", "Dropout", "Gemm", "Pad"}


@dataclass
class Forms:
    """What is known of the values of a graph.

    Attributes:
        operators: by value, the affine operator that makes it.
        maps: by value, the map that it is of each of the values before it, nearest first.
        left: (value, why it is not an affine map, or not of a value that it looks like one of).
    """

    operators: dict[str, Linear | Sum] = field(default_factory=dict)
    maps: dict[str, dict[str, Geometry]] = field(default_factory=dict)
    left: list[tuple[str, Reason]] = field(default_factory=list)

    def of(self, value: str) -> dict[str, Geometry]:
        """The maps of a value; every value is itself, unchanged."""
        return self.maps.get(value, {value: UNIFORM})

    def operands(self, value: str) -> tuple[str, ...]:
        """The values that an affine operator reads."""
        return self.operators[value].operands

    def between(self, source: str, value: str) -> list[str] | None:
        """The values after `source` up to `value` in topological order; None if they are many."""
        order: list[str] = []
        seen = {source}
        stack: list[tuple[str, Iterator[str]]] = []
        if value != source:
            seen.add(value)
            stack.append((value, iter(self.operands(value))))
        while stack:
            current, operands = stack[-1]
            following = next((name for name in operands if name not in seen), None)
            if following is None:
                order.append(current)
                stack.pop()
            else:
                seen.add(following)
                if len(seen) > _MAX_NODES:
                    return None
                stack.append((following, iter(self.operands(following))))
        return order

    def kernel(self, source: str, value: str) -> Kernel:
        """The numbers of the map from one value to another."""
        kernels = {source: IDENTITY}
        order = self.between(source, value) or []
        last = {name: i for i, step in enumerate(order) for name in self.operands(step)}
        for index, step in enumerate(order):
            operator, whole = self.operators[step], self.maps[step][source]
            if isinstance(operator, Linear):
                result = chain(operator.kernel(), kernels[operator.source], whole)
            else:
                terms = [_scaled(kernels[name], factor) for name, factor in operator.terms]
                result = add(terms, whole)
            kernels[step] = result
            for name in self.operands(step):
                if last[name] == index and name != source:
                    kernels.pop(name, None)
        return kernels[value]


def _scaled(kernel: Kernel, factor: float) -> Kernel:
    return kernel if factor == 1.0 else chain(uniform(factor), kernel, kernel.geometry)


def forms_of(graph: MainGraph, context: Context) -> Forms:
    """Walk a graph from its inputs to its outputs."""
    forms = Forms()
    if context.opset < FIRST_OPSET:
        outputs = [node.output for node in graph.nodes if node.kind in _EXPECTED]
        reason = f"operator set {context.opset}; read from {FIRST_OPSET} on"
        forms.left = [(value, reason) for value in outputs]
        return forms
    for node in graph.nodes:
        operator = recognise(node, context) if node.kind else None
        if operator is None or _ends_activation(node, graph, context):
            continue
        value = node.output
        if isinstance(operator, str):
            if node.kind in _EXPECTED:
                forms.left.append((value, operator))
            continue
        if any(name in context.constants for name in operator.operands):
            continue  # of a constant, which is for runtimes to compute
        forms.operators[value] = operator
        maps = {value: UNIFORM}
        for source, result in _extended(operator, forms):
            if isinstance(result, str):
                forms.left.append((value, result))
            elif len(maps) < _MAX_SOURCES:
                maps[source] = result
        forms.maps[value] = maps
    return forms


def _ends_activation(node: Node, graph: MainGraph, context: Context) -> bool:
    """Whether it is a spelled-out activation's last product, by one number.

    Runtimes run x (1 + erf(x / sqrt 2)) / 2 as one operator, and would no longer know it without
    the half, which costs more than that product in the weights after it saves.
    """
    if node.kind not in ("Mul", "Div"):
        return False
    numbers = [context.constant(name) for name in node.inputs]
    if not any(number is not None and number.size == 1 for number in numbers):
        return False
    values = set(node.inputs)
    for kinds in (("Mul",), ("Add",), ("Erf", "Tanh")):  # (x * (1 + erf)) * 0.5, from its end
        makers = [graph.nodes[graph.makers[value]] for value in values if value in graph.makers]
        found = [maker for maker in makers if maker.kind in kinds]
        values = {value for maker in found for value in maker.inputs}
    return bool(found)


def _extended(operator: Linear | Sum, forms: Forms) -> Iterator[tuple[str, Geometry | Reason]]:
    """The maps of an operator's result, nearest first, or why there is none."""
    if isinstance(operator, Linear):
        for source, inner in forms.of(operator.source).items():
            result = compose(operator.geometry, inner)
            if result:
                yield source, result
        return
    every = [forms.of(name) for name, _ in operator.terms]
    if not every:
        return
    for source in every[0]:
        if all(source in maps for maps in every):
            result = join([maps[source] for maps in every])
            if result:
                yield source, result

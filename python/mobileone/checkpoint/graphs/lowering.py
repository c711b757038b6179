"""From a program's operators to a graph, one after the other, on values of known shapes.

A value is an array, if it is the same for all images; a node's result; or an elementwise function
of one, which becomes nodes when somebody reads it who is no elementwise function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from mobileone.checkpoint.graphs.expressions import (
    ARGUMENT,
    Expression,
    activation_of,
    evaluate,
    known_activations,
)
from mobileone.checkpoint.graphs.statement import Array, Program, Statement
from mobileone.checkpoint.graphs.writer import GraphWriter, Tensor
from mobileone.util.errors import CheckpointError, shown

__all__ = ["ARITHMETIC", "Function", "Handler", "Lowering", "Value"]


@dataclass(frozen=True)
class Function:
    """An elementwise function of a node's result.

    Attributes:
        base: the argument.
        expression: see `expressions`.
        size: functions in it.
        name: of the operator that it ends with.
        unit: the unit roundoff of its numbers.
    """

    base: Tensor
    expression: Expression
    size: int
    name: str
    unit: float

    @property
    def shape(self) -> tuple[int, ...]:
        """That of its argument."""
        return self.base.shape

    @property
    def batch(self) -> int | None:
        """That of its argument."""
        return self.base.batch


Value: TypeAlias = "Array | Tensor | Function"
# What a statement's inputs, None where one is left out, give.
Handler = Callable[["Lowering", Statement, "list[Value | None]"], "Sequence[Value]"]

# Functions of an expression; more become nodes.
_MAX_SIZE = 48
# Of nodes; a program of more is none that anybody exported.
_MAX_STATEMENTS = 100_000
# Engine's activations that one function gives.
_DIRECT = {"Relu": "relu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Gelu": "gelu"}
_DIRECT["GeluTanh"] = "gelu_tanh"
# The engine's functions of two tensors, by ONNX's names.
ARITHMETIC = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Div": "divide"}
ARITHMETIC |= {"Max": "maximum", "Min": "minimum"}


class Lowering:
    """One program's way into a graph.

    Attributes:
        program: that is read.
        writer: of its nodes.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.writer = GraphWriter()
        self._values: dict[str, Value] = {}
        self._emitted: dict[tuple[str, Expression], Tensor] = {}

    def run(self, handlers: dict[str, Handler]) -> dict[str, Tensor]:
        """The nodes of all statements; the program's results.

        Raises:
            NotImplementedError: an operator, or one of its options, that graphs do not have.
            CheckpointError: a program that is none.
        """
        program = self.program
        if len(program.statements) > _MAX_STATEMENTS:
            raise CheckpointError(
                f"{program.where}: has {len(program.statements)} operators; expected at most "
                f"{_MAX_STATEMENTS}"
            )
        for name, shape in program.inputs.items():
            self._values[name] = self.writer.add(name, "Input", [], shape, channels=shape[1])
        for statement in program.statements:
            self._add(statement, handlers)
        return {name: self.tensor(self._read(name, None), name) for name in program.outputs}

    def _add(self, statement: Statement, handlers: dict[str, Handler]) -> None:
        given = [self._read(name, statement) if name else None for name in statement.inputs]
        results: Sequence[Value] | None = None
        if all(value is None or isinstance(value, np.ndarray) for value in given):
            results = self.program.fold(statement, given)  # type: ignore[arg-type]
        if results is None:
            handler = handlers.get(statement.kind)
            if handler is None:
                self.program.refuse_kind(statement, handlers)
            try:
                results = handler(self, statement, given)
            except (ArithmeticError, LookupError, TypeError, ValueError) as error:
                if isinstance(error, CheckpointError):
                    raise
                self.program.damaged(
                    statement, f"its inputs do not fit: {type(error).__name__}: {error}"
                )
        for name, value in zip(statement.outputs, results, strict=False):
            self._values[name] = value

    def _read(self, name: str, statement: Statement | None) -> Value:
        if name not in self._values:
            found = self.program.constant(name)
            if found is None:
                reader = "the results" if statement is None else f"node {shown(statement.name)!r}"
                raise CheckpointError(
                    f"{self.program.where}: {reader} read {shown(name)!r}, which nothing makes"
                )
            return found
        return self._values[name]

    def tensor(self, value: Value | None, name: str) -> Tensor:
        """A node's result that holds a value; `name` is for a node of a constant."""
        if isinstance(value, Tensor):
            return value
        if isinstance(value, Function):
            return self._emit(value, value.expression)
        if value is None:
            raise ValueError("an input is missing")
        return self.constant(value, name)

    def constant(self, array: Array, name: str) -> Tensor:
        """A node with these numbers, at least one axis of them."""
        array = np.atleast_1d(np.asarray(array))
        if array.size == 0 or not np.issubdtype(array.dtype, np.number):
            raise ValueError(f"a constant {array.dtype} {array.shape} where numbers are expected")
        shape = [int(extent) for extent in array.shape]
        weights = {"value": array}
        return self.writer.add(
            f"{name}.constant", "Constant", [], shape, weights, batch=None, shape=shape
        )

    def function(self, name: str, kind: str, *arguments: Value | float) -> Function | None:
        """An elementwise function of one tensor and numbers; None if that is not what these are."""
        bases: list[Tensor] = []
        expressions: list[Expression] = []
        size, unit = 1, 2.0**-24
        for given in arguments:
            if isinstance(given, float | int):
                expressions.append(("number", float(given)))
            elif isinstance(given, np.ndarray):
                if given.size != 1 or not np.issubdtype(given.dtype, np.number):
                    return None
                expressions.append(("number", float(given.reshape(-1)[0])))
                if given.dtype == np.float16:
                    unit = max(unit, 2.0**-11)
            elif isinstance(given, Tensor):
                bases.append(given)
                expressions.append(ARGUMENT)
            elif isinstance(given, Function):
                bases.append(given.base)
                expressions.append(given.expression)
                size, unit = size + given.size, max(unit, given.unit)
        if not bases or any(base != bases[0] for base in bases) or size > _MAX_SIZE:
            return None
        return Function(bases[0], (kind, *expressions), size, name, unit)

    def _emit(self, function: Function, expression: Expression) -> Tensor:
        """The nodes of an expression: activations where it is one, else its parts."""
        base = function.base
        if expression == ARGUMENT:
            return base
        key = (base.node, expression)
        if key not in self._emitted:
            self._emitted[key] = self._emit_new(function, expression)
        return self._emitted[key]

    def _emit_new(self, function: Function, expression: Expression) -> Tensor:
        base, name = function.base, function.name
        kind, *arguments = expression
        if not _uses_argument(expression):
            return self.constant(evaluate(expression, np.zeros(1)), name)
        activation = activation_of(expression, function.unit)
        if activation == "":
            return base
        if activation is None and kind in _DIRECT:
            base = self._emit(function, arguments[0])
            activation = _DIRECT[kind]
        if activation is not None:
            return self.writer.add(
                name, "Activation", [base], base.shape, batch=base.batch, kind=activation
            )
        parts: dict[str, Callable[[Expression], Expression]] = {
            "Neg": lambda x: ("Mul", x, ("number", -1.0)),
            "Abs": lambda x: ("Max", x, ("Mul", x, ("number", -1.0))),
            "Reciprocal": lambda x: ("Div", ("number", 1.0), x),
        }
        if kind in parts:
            return self._emit(function, parts[kind](arguments[0]))
        if kind not in ARITHMETIC:
            raise NotImplementedError(
                f"{self.program.where}: node {shown(name)!r}: the function {kind} is not supported "
                "outside of an activation; those that are known, in any spelling: "
                + ", ".join(known_activations())
            )
        first, second = (self._emit(function, given) for given in arguments)
        return self.arithmetic(name, ARITHMETIC[kind], first, second)

    def arithmetic(self, name: str, kind: str, a: Tensor, b: Tensor) -> Tensor:
        """A function of two tensors, broadcast; an Add or Multiply where it can be one."""
        if a.batch is None and b.batch is not None and kind in ("add", "multiply"):
            a, b = b, a
        shape = np.broadcast_shapes(a.shape, b.shape)
        batch = self._common_batch(a, b, len(shape))
        if kind == "add" and a.shape == b.shape and a.batch == b.batch:
            return self.writer.add(name, "Add", [a, b], shape, batch=batch)
        if kind == "multiply" and a.batch == b.batch == 0:
            if len(a.shape) == 4 and a.shape[2:] == (1, 1):
                a, b = b, a
            gate = (*a.shape[:2], 1, 1)
            if b.shape == a.shape or (len(a.shape) == 4 and b.shape == gate):
                return self.writer.add(name, "Multiply", [a, b], shape, batch=batch)
        return self.writer.add(name, "Arithmetic", [a, b], shape, batch=batch, kind=kind)

    def _common_batch(self, a: Tensor, b: Tensor, rank: int) -> int | None:
        """The axis of the images in a result of that rank."""
        axes = [rank - len(one.shape) + one.batch for one in (a, b) if one.batch is not None]
        if len(set(axes)) > 1:
            raise NotImplementedError(
                f"{self.program.where}: {shown(a.node)!r} and {shown(b.node)!r} have their images "
                "along different axes"
            )
        return axes[0] if axes else None

    def reshaped(
        self, name: str, x: Tensor, shape: Sequence[int], batch: int | None = None
    ) -> Tensor:
        """The same elements in another shape, for any number of images.

        Args:
            name: of the node.
            x: the tensor.
            shape: of the result, for images of the program's own shape.
            batch: the axis of images in it, where the caller knows it.
        """
        shape = tuple(int(extent) for extent in shape)
        if shape == x.shape and batch in (None, x.batch):
            return x
        if np.prod(shape, dtype=float) != np.prod(x.shape, dtype=float):
            raise ValueError(f"makes {shape} of {x.shape}")
        if x.batch is None:
            return self.writer.add(name, "Reshape", [x], shape, batch=None, shape=list(shape))
        axis = _batch_axis(x, shape) if batch is None else batch
        if axis is None:
            raise NotImplementedError(
                f"{self.program.where}: node {shown(name)!r} makes {shape} of {x.shape}, whose "
                f"axis {x.batch} has the images: they end up inside another axis"
            )
        target = list(shape)
        target[axis] = 0 if axis == x.batch and shape[axis] == x.shape[axis] else -1
        if target[axis] == 0 and len(shape) == 2 and len(x.shape) > 2 and axis == 0:
            target[1] = -1  # flattened, of any size
        return self.writer.add(name, "Reshape", [x], shape, batch=axis, shape=target)

    def transposed(self, name: str, x: Tensor, perm: Sequence[int]) -> Tensor:
        """Axis i of the result is axis perm[i]."""
        order = [int(axis) % len(x.shape) for axis in perm]
        if order == list(range(len(order))):
            return x
        shape = [x.shape[axis] for axis in order]
        batch = None if x.batch is None else order.index(x.batch)
        return self.writer.add(name, "Transpose", [x], shape, batch=batch, perm=order)

    def sliced(
        self, name: str, x: Tensor, axis: int, start: int, end: int, step: int = 1
    ) -> Tensor:
        """Elements start, start + step, ... before end of an axis, which is not that of images."""
        extent = x.shape[axis]
        start, end = max(0, min(start, extent)), max(0, min(end, extent))
        if (start, end, step) == (0, extent, 1):
            return x
        if axis == x.batch:
            raise NotImplementedError(
                f"{self.program.where}: node {shown(name)!r} takes some of the images"
            )
        count = len(range(start, end, step))
        if count == 0:
            raise ValueError(f"takes {start} to {end} of {extent} elements")
        shape = (*x.shape[:axis], count, *x.shape[axis + 1 :])
        where: dict[str, int] = {"axis": axis, "start": start, "end": end, "step": step}
        return self.writer.add(name, "Slice", [x], shape, batch=x.batch, **where)


def _uses_argument(expression: Expression) -> bool:
    if expression == ARGUMENT:
        return True
    return expression[0] != "number" and any(map(_uses_argument, expression[1:]))


def _batch_axis(x: Tensor, shape: tuple[int, ...]) -> int | None:
    """The axis of a reshaped tensor that begins with the images: as many elements before it."""
    axis = x.batch
    if axis is None:
        return None
    before = int(np.prod(x.shape[:axis], dtype=np.int64))
    if axis < len(shape) and shape[: axis + 1] == x.shape[: axis + 1]:
        return axis
    for place in range(len(shape)):
        if int(np.prod(shape[:place], dtype=np.int64)) == before:
            return place
    return None

"""One call of a PyTorch operator in an exported program, and the statements that stand for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeAlias

import numpy as np

from mobileone.checkpoint.graphs.statement import Array, Program, Statement

__all__ = ["Call", "Operator", "hint_of", "numbers", "per_axis"]


def hint_of(extent: Any) -> Any:
    """A number, of one that may change the one that it was when the program was exported."""
    node = getattr(extent, "node", None)
    return extent if node is None else node.hint


def numbers(value: Any) -> list[int]:
    """Those of a list, or a single one."""
    return [int(n) for n in (value if isinstance(value, list | tuple) else [value])]


def per_axis(value: Any, rank: int = 2) -> list[int]:
    """One number for each axis of a window, of one for all or of as many."""
    values = numbers(value)
    return values * rank if len(values) == 1 else values


class Call:
    """One call of an operator: its arguments by name, and the statements that stand for it.

    Attributes:
        name: of the node.
        shape: of its first input, for images of the program's own shape.
    """

    def __init__(self, reader: Any, node: Any) -> None:
        self._reader = reader
        self._node = node
        self.name: str = node.name
        schema = node.target._schema
        self._arguments = {
            argument.name: argument.default_value if argument.has_default_value() else None
            for argument in schema.arguments
        }
        names = [argument.name for argument in schema.arguments if not argument.kwarg_only]
        self._arguments |= dict(zip(names, node.args, strict=False))
        self._arguments |= node.kwargs
        self._count = 0

    def __getitem__(self, name: str) -> Any:
        """An argument: the name of a value, or a number, a list, None."""
        return self._reader.name_of(self._arguments[name])

    def get(self, name: str, default: Any = None) -> Any:
        """The same; the default where the operator has no such argument."""
        return self[name] if name in self._arguments else default

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of an argument."""
        argument: Any = self._arguments[name]
        return tuple(hint_of(extent) for extent in argument.meta["val"].shape)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the result."""
        return tuple(hint_of(extent) for extent in self._node.meta["val"].shape)

    @property
    def results(self) -> int:
        """How many the operator has."""
        value = self._node.meta["val"]
        return len(value) if isinstance(value, list | tuple) else 1

    def array(self, name: str) -> Array:
        """An argument that must be a constant."""
        found: Array | None = self._reader.constants.get(self[name])
        if found is None:
            self.refuse(f"its {name} is computed; expected constants")
        return found

    def constant(self, values: Any) -> str:
        """The name of a new constant."""
        self._count += 1
        name = f"{self.name}.constant{self._count}"
        self._reader.constants[name] = np.asarray(values)
        return name

    def integers(self, values: Any) -> str:
        """The name of a new constant of axes, sizes or places."""
        return self.constant(np.array(values, np.int64))

    def value(self, argument: Any) -> str:
        """The name of a value, or of a constant that is a number; "" for None."""
        if argument is None:
            return ""
        return argument if isinstance(argument, str) else self.constant(np.float32(argument))

    def add(self, kind: str, *inputs: Any, out: str = "", **attributes: Any) -> str:
        """A statement; its result's name, the node's unless `out` says another."""
        return self.add_several(kind, inputs, [out or self.name], attributes)[0]

    def add_first(self, kind: str, *inputs: Any, **attributes: Any) -> None:
        """A statement for the first of the results; nothing makes the others."""
        if self.results == 1:
            self.add(kind, *inputs, **attributes)
            return
        first = self.add(kind, *inputs, out=f"{self.name}.0", **attributes)
        self.alias([first, *[""] * (self.results - 1)])

    def inner(self, kind: str, *inputs: Any, **attributes: Any) -> str:
        """A statement whose result is not the node's."""
        self._count += 1
        return self.add(kind, *inputs, out=f"{self.name}.{self._count}", **attributes)

    def add_several(
        self, kind: str, inputs: Sequence[Any], outputs: Sequence[str], attributes: dict[str, Any]
    ) -> list[str]:
        """A statement of any number of results."""
        names = tuple(self.value(given) for given in inputs)
        label = outputs[0] if len(outputs) == 1 else self.name
        self._reader.statements.append(
            Statement(label, kind, names, tuple(outputs), attributes, str(self._node.target))
        )
        return list(outputs)

    def alias(self, names: Any) -> None:
        """The node's result is that value, or a list of values."""
        self._reader.alias(self._node, names)

    def refuse(self, problem: str) -> NoReturn:
        """NotImplementedError that names the node and its operator."""
        statement = Statement(self.name, str(self._node.target), (), ())
        program: Program = self._reader.program
        program.refuse(statement, problem)


# Makes the statements of a call.
Operator: TypeAlias = "Callable[[Call], Any]"

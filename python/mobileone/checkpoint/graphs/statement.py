"""What a program that is read consists of, whoever wrote it: operators by ONNX's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from mobileone.util.errors import CheckpointError, shown

__all__ = ["Array", "Program", "Statement"]

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Statement:
    """One operator.

    Attributes:
        name: of the node, for the graph and for messages.
        kind: as ONNX calls it.
        inputs: names of values; "" for one that is left out.
        outputs: the same.
        attributes: by ONNX's names.
        source: what the program itself calls the operator, where that is not `kind`.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True)
class Program:
    """Operators in topological order, and what they start from.

    Attributes:
        where: the file, for messages.
        statements: in order.
        constant: the value of a name that never changes; None of any other name.
        fold: what a statement of constants alone gives; None where nobody knows.
        inputs: names of images, and their shapes.
        outputs: names of results.
        opset: of ONNX, by whose rules attributes are read.
        language: what the operators are of, for messages, e.g. "opset 17".
        narrow: the type of 16 bits, by ONNX's number, that all its weights have; it is computed in
            float32 then, whose results are nearer to the exact ones. 0 of other programs.
        others: the same for other extents of axes that the file leaves open, by what they are in
            words: it must be the same graph there.
    """

    where: str
    statements: Sequence[Statement]
    constant: Callable[[str], Array | None]
    fold: Callable[[Statement, list[Array | None]], Sequence[Array] | None]
    inputs: Mapping[str, tuple[int, ...]]
    outputs: Sequence[str]
    opset: int
    language: str
    narrow: int = 0
    others: Mapping[str, Program] = field(default_factory=dict)

    @property
    def leaves_sizes_open(self) -> bool:
        """Whether the file says nothing of the height or the width of its images."""
        own = [shape[2:] for shape in self.inputs.values()]
        others = ([s[2:] for s in other.inputs.values()] for other in self.others.values())
        return any(own != sizes for sizes in others)

    def refuse(self, statement: Statement, problem: str) -> NoReturn:
        """NotImplementedError that names the node and its operator."""
        kind = statement.source or statement.kind
        raise NotImplementedError(
            f"{self.where}: node {shown(statement.name)!r} ({shown(kind)}, {self.language}): "
            f"{problem}"
        )

    def refuse_kind(self, statement: Statement, known: Iterable[str]) -> NoReturn:
        """The same of an operator that is not known, with the nearest one that is."""
        near = get_close_matches(statement.kind, sorted(known), 1, 0.5)
        hint = f"; the nearest that is supported is {near[0]}" if near else ""
        self.refuse(statement, f"this operator is not supported{hint}")

    def damaged(self, statement: Statement, problem: str) -> NoReturn:
        """CheckpointError that names the node."""
        kind = statement.source or statement.kind
        raise CheckpointError(
            f"{self.where}: node {shown(statement.name)!r} ({shown(kind)}): {problem}"
        )


def floats(values: Any) -> npt.NDArray[np.float64]:
    """Numbers in double precision."""
    with np.errstate(invalid="ignore"):  # of a file's NaN
        return np.asarray(values, np.float64)

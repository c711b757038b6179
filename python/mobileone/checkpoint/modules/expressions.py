"""What a network computes as expressions: equal ones have the same number, whoever made them.

Forms that differ only in rounding are one: sums in any order, a scaled query or a scaled product,
a reshape that moves nothing. So two networks are the same function of the same weights if their
results have the same number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["Expression", "Expressions", "Index", "Pair", "Shape", "squeezed"]

Pair = tuple[int, int]
Shape = tuple[int, ...]
Index = npt.NDArray[np.int64]


class Expression(NamedTuple):
    """An operator, its attributes, and the numbers of the expressions that it reads."""

    kind: str
    attributes: tuple[tuple[str, Any], ...]
    inputs: tuple[int, ...]

    def get(self, name: str) -> Any:
        """An attribute; None if it has none of this name."""
        return next((value for key, value in self.attributes if key == name), None)


def squeezed(shape: Iterable[int]) -> Shape:
    """Without the extents that are 1."""
    return tuple(extent for extent in shape if extent != 1)


class Expressions:
    """All expressions that were made, by number."""

    def __init__(self) -> None:
        self._numbers: dict[Expression, int] = {}
        self._all: list[Expression] = []

    def __getitem__(self, number: int) -> Expression:
        return self._all[number]

    def make(self, kind: str, *inputs: int, **attributes: Any) -> int:
        """The number of an operator's result."""
        expression = Expression(kind, tuple(attributes.items()), inputs)
        number = self._numbers.setdefault(expression, len(self._all))
        if number == len(self._all):
            self._all.append(expression)
        return number

    def conv(
        self,
        x: int,
        weight: str,
        bias: str | None,
        *,
        kernel: Pair,
        stride: Pair,
        padding: Pair,
        dilation: Pair,
        groups: int,
    ) -> int:
        """A convolution; the dilation of a single tap is none, and padding may stand before it."""
        before = self[x]
        if before.kind == "zero_pad":
            padding = tuple(map(sum, zip(padding, before.get("padding"), strict=True)))  # type: ignore[assignment]
            x = before.inputs[0]
        dilation = tuple(d if k > 1 else 1 for d, k in zip(dilation, kernel, strict=True))  # type: ignore[assignment]
        where = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        return self.make("conv", x, weight=weight, bias=bias, **where)

    def add(self, *summands: int) -> int:
        """A sum, whatever the order it is taken in."""
        flat: list[int] = []
        for summand in summands:
            inner = self[summand]
            flat += inner.inputs if inner.kind == "add" else [summand]
        return flat[0] if len(flat) == 1 else self.make("add", *sorted(flat))

    def multiply(self, a: int, b: int) -> int:
        """A product of tensors; x sigmoid(x) is SiLU."""
        for x, gate in ((a, b), (b, a)):
            if self[gate] == Expression("activation", (("function", "sigmoid"),), (x,)):
                return self.make("activation", x, function="silu")
        return self.make("multiply", *sorted((a, b)))

    def scale(self, x: int, factor: float) -> int:
        """The product with a number, rounded to 12 digits: roots may be taken in two ways."""
        inner = self[x]
        if inner.kind == "scale":
            return self.scale(inner.inputs[0], inner.get("factor") * factor)
        factor = float(f"{factor:.11e}")
        return x if factor == 1.0 else self.make("scale", x, factor=factor)

    def matmul(self, a: int, b: int) -> int:
        """A matrix product; numbers that scale its factors scale it."""
        factor = 1.0
        plain = []
        for x in (a, b):
            made = self[x]
            if made.kind == "scale":
                factor *= made.get("factor")
                x = made.inputs[0]
            plain.append(x)
        return self.scale(self.make("matmul", *plain), factor)

    def attention(self, query: int, key: int, value: int, scale: float) -> int:
        """softmax(scale Q K^T) V, of which `key` is K^T."""
        scores = self.make("softmax", self.scale(self.matmul(query, key), scale))
        return self.matmul(scores, value)

    def moved(self, base: int, base_shape: Shape, index: Index) -> int:
        """The elements of `base` at these places, in row-major order.

        Nothing has moved where they are all in order and but extents of 1 came or went.
        """
        order = index.ravel()
        same = squeezed(index.shape) == squeezed(base_shape)
        if same and np.array_equal(order, np.arange(order.size)):
            return base
        digest = hashlib.blake2b(np.ascontiguousarray(order).tobytes(), digest_size=16)
        return self.make("move", base, shape=squeezed(index.shape), places=digest.hexdigest())

"""What is known of each tensor while a module runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch

from mobileone.checkpoint.modules.expressions import Expressions, Shape

__all__ = ["Value", "Values", "version_of"]


class Value(NamedTuple):
    """The elements of an expression's result at some places of it.

    Attributes:
        base: the number of the expression.
        shape: of its result.
        at: places in row-major order; None for all of them as they are.
    """

    base: int
    shape: Shape
    at: torch.Tensor | None = None

    def places(self) -> torch.Tensor:
        """`at`, also where all are as they are."""
        if self.at is not None:
            return self.at
        count = int(torch.Size(self.shape).numel())
        return torch.arange(count).reshape(self.shape)


class Values:
    """Tensors by identity, and if that is new, by the memory that they show.

    Args:
        table: where expressions are made.
        names: (address, shape) of a weight -> its canonical name.
    """

    def __init__(self, table: Expressions, names: Mapping[tuple[int, Shape], str]) -> None:
        self.table = table
        self.names = names
        self._values: dict[int, Value] = {}
        self._versions: dict[int, int] = {}
        self._held: list[torch.Tensor] = []  # so that no identity is used twice
        self._shared: set[int] = set()

    def set(self, tensor: torch.Tensor, value: Value) -> None:
        """Says what a tensor holds from now on."""
        self._values[id(tensor)] = value
        self._versions[id(tensor)] = version_of(tensor)
        self._held.append(tensor)

    def make(self, tensor: torch.Tensor, number: int) -> None:
        """A tensor holds an expression's result."""
        self.set(tensor, Value(number, tuple(tensor.shape)))

    def follow(self, tensor: torch.Tensor, version: int) -> None:
        """A call that is recorded may have changed the tensor, which had this version before."""
        if self._versions.get(id(tensor)) == version:
            self._versions[id(tensor)] = version_of(tensor)

    def share(self, first: torch.Tensor, second: torch.Tensor) -> None:
        """Two tensors may be the same memory: a change of one may be one of the other."""
        if first is not second:
            self._shared |= {id(first), id(second)}

    def get(self, tensor: torch.Tensor) -> Value:
        """What a tensor holds: a weight, something computed, or something from elsewhere."""
        found = self._values.get(id(tensor))
        if found is not None:
            if self._versions[id(tensor)] == version_of(tensor):
                return found
            # By a function that is not recorded, e.g. Tensor.set_.
            number = self.table.make("changed", by=f"version {version_of(tensor)} of {found.base}")
            return Value(number, tuple(tensor.shape))
        name = self.name(tensor)
        if name is not None:
            return Value(self.table.make("weight", name=name), tuple(tensor.shape))
        for held in reversed(self._held):
            if _same_memory(held, tensor):
                return self._values[id(held)]
        number = self.table.make("elsewhere", shape=tuple(tensor.shape))
        return Value(number, tuple(tensor.shape))

    def number(self, tensor: torch.Tensor) -> int:
        """The number of what a tensor holds."""
        value = self.get(tensor)
        if value.at is None:
            return value.base
        return self.table.moved(value.base, value.shape, value.at.numpy())

    def name(self, tensor: torch.Tensor | None) -> str | None:
        """The canonical name of a weight; None for other tensors."""
        if tensor is None or tensor.is_meta:
            return None
        return self.names.get((tensor.data_ptr(), tuple(tensor.shape)))

    def invalidate(self, tensor: torch.Tensor, number: int) -> None:
        """A tensor was changed in place: so was what shares its memory, in an unknown way."""
        if id(tensor) not in self._shared:
            return
        memory = _memory(tensor)
        for held in self._held:
            if held is not tensor and _memory(held) == memory:
                self._values[id(held)] = Value(number, tuple(held.shape))


def _same_memory(a: torch.Tensor, b: torch.Tensor) -> bool:
    return (
        _memory(a) == _memory(b)
        and a.storage_offset() == b.storage_offset()
        and a.shape == b.shape
        and a.stride() == b.stride()
        and a.dtype == b.dtype
    )


def _memory(tensor: torch.Tensor) -> tuple[bool, int]:
    """What is the same for tensors of one memory; those without elements have no address."""
    storage = tensor.untyped_storage()
    return tensor.is_meta, storage._cdata if tensor.is_meta else storage.data_ptr()


def version_of(tensor: torch.Tensor) -> int:
    """What changes in place count up; 0 for tensors of inference mode, which do not count."""
    return 0 if tensor.is_inference() else tensor._version

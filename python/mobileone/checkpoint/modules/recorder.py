"""Runs a module with every call of PyTorch's functions noted down, computed or not."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch.overrides import TorchFunctionMode

from mobileone.checkpoint.modules.expressions import Expressions, Shape
from mobileone.checkpoint.modules.functions import COMPUTED, DROPOUTS, MOVES, SAME
from mobileone.checkpoint.modules.shapes import result_without_elements
from mobileone.checkpoint.modules.values import Value, Values, version_of

__all__ = ["Call", "Recorder"]

# How far up the caller of a function is looked for: torch.nn.functional has a frame or two.
_FRAMES = 8
# What does not depend on elements and gives none.
_LOOKS = frozenset(("shape", "ndim", "dtype", "size", "dim", "numel"))
# What gives a tensor's memory away.
_MEMORY = frozenset(("numpy", "array", "dlpack", "untyped_storage", "storage", "data_ptr"))
_SET_DATA = "data ="
# What autocast computes in another type than its arguments', without a call of its own.
_CAST = frozenset(("conv2d", "linear", "matmul", "bmm", "scaled_dot_product_attention"))
# Changes in place by their functions' own names, e.g. relu_, a += b and a[i] = b.
_WRITING = re.compile(r"(?!__).*_|__(setitem|i(add|sub|mul|truediv|floordiv|mod|pow|and|or|xor))__")


# How PyTorch's own tensors and parameters take part in functions.
_USUAL = (
    torch.Tensor.__torch_function__.__func__,  # type: ignore[attr-defined]
    torch.nn.Parameter.__torch_function__,
)


class Call(NamedTuple):
    """A function's call that made an expression.

    Attributes:
        function: its name.
        owner: the module whose forward called it; None if none did.
        result: the tensor, and its version, which changes in place make a later one.
    """

    function: str
    owner: Any
    result: torch.Tensor
    version: int


class _Function(NamedTuple):
    """What is known of a function by its name.

    Attributes:
        name: without the marks of operators and of changes in place.
        own: its `__name__`.
        in_place: whether it changes its first argument, or the tensors in that.
        special: whether something is to be done before it is called.
    """

    name: str
    own: str
    in_place: bool
    special: bool


class Recorder(TorchFunctionMode):
    """While active, `calls` gets each new expression's first call.

    A call that would change a weight raises; `writes` says which.

    Args:
        table: where expressions are made.
        names: (address, shape) of a weight -> its canonical name.
        computes: whether the functions are run; else their results, and the image, are tensors
            without elements (on PyTorch's meta device), and what needs elements raises.
    """

    def __init__(
        self, table: Expressions, names: Mapping[tuple[int, Shape], str], *, computes: bool
    ) -> None:
        super().__init__()
        self.computes = computes
        self.table = table
        self.values = Values(table, names)
        self.calls: dict[int, Call] = {}
        self._functions: dict[Any, _Function] = {}
        self._foreign: dict[Any, bool] = {}
        self.writes = ""
        self.exported: list[tuple[torch.Tensor, torch.Tensor, int]] = []

    def begin(self, image: torch.Tensor) -> None:
        """Says which tensor is the network's input."""
        self.values.make(image, self.table.make("input"))

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        known = self._functions.get(func)
        if known is None:
            known = self._functions[func] = _known(func)
        name, own, in_place, special = known
        if special:
            if name in _LOOKS:
                return func(*args, **kwargs)
            self._export(name, args[0])
        if in_place or (kwargs and (kwargs.get("out") is not None or kwargs.get("inplace"))):
            self._check_writing(name, args[:1], kwargs)
        foreign = [kind for kind in types if self._is_foreign(kind)] if types else []
        if foreign and not self.computes:
            raise RuntimeError(f"{foreign[0].__name__} computes by itself")
        # Read before the call: it may change its arguments in place.
        before = self._before(name, func, args, kwargs) if name in MOVES else None
        changed = _tensors(args[:1]) if in_place else args[:1]
        versions = [(x, version_of(x)) for x in changed if isinstance(x, torch.Tensor)]
        if self.computes:
            out = func(*args, **kwargs)
        else:
            out = result_without_elements(func, own, args, kwargs)
        for tensor, version in versions:
            if version_of(tensor) != version:
                self.values.follow(tensor, version)
        if foreign:
            for result in _tensors(out):
                self._unknown(f"{name} of {foreign[0].__name__}", result, args, kwargs)
        elif name in ("setitem", _SET_DATA) or (out is None and name.endswith("_")):
            for target in _tensors(args[:1]):
                self._unknown(name, target, args, kwargs)
        elif isinstance(out, torch.Tensor):
            self._read(name, out, args, kwargs, before)
        elif isinstance(out, tuple | list) and any(isinstance(x, torch.Tensor) for x in out):
            self._read_many(name, out, args, kwargs, before)
        return out

    def _export(self, name: str, source: torch.Tensor) -> None:
        """Keeps what memory holds that is given away, where changes go unseen."""
        if not self.computes:
            raise RuntimeError(f"{name} of a tensor without elements")
        self.exported.append((source, source.clone(), version_of(source)))

    def _is_foreign(self, kind: Any) -> bool:
        """Whether a class of tensors computes in another way than PyTorch's own."""
        found = self._foreign.get(kind)
        if found is None:
            function = getattr(kind.__torch_function__, "__func__", kind.__torch_function__)
            found = self._foreign[kind] = function not in _USUAL
        return found

    def _check_writing(self, name: str, targets: Any, kwargs: Any) -> None:
        """RuntimeError, and `writes` says it, before the memory of a weight is changed."""
        given = kwargs.get("out")
        for target in _tensors(targets if given is None else given):
            made = self.table[self.values.get(target).base]
            weight = made.get("name") if made.kind == "weight" else None
            if weight is not None and not weight.endswith(".num_batches_tracked"):
                self.writes = f"its forward changes {weight} ({name})"
                raise RuntimeError(self.writes)

    def changed_outside(self) -> bool:
        """Whether memory that was given to NumPy or others was changed there."""
        return any(
            version_of(tensor) == version and not torch.equal(tensor, copy)
            for tensor, copy, version in self.exported
        )

    def _before(self, name: str, func: Any, args: Any, kwargs: Any) -> Any:
        """Where a move puts the elements of its first argument; None where it cannot be told."""
        if not args or not isinstance(args[0], torch.Tensor):
            return None
        value = self.values.get(args[0])
        places = value.places()
        move = torch.Tensor.reshape if name == "view" else func
        try:
            return value, move(places, *args[1:], **kwargs)
        except (RuntimeError, TypeError):
            return None

    def _read(self, name: str, out: torch.Tensor, args: Any, kwargs: Any, before: Any) -> None:
        first = args[0] if args and isinstance(args[0], torch.Tensor) else None
        if before is not None:
            value, places = before
            if isinstance(places, torch.Tensor) and places.shape == out.shape:
                self.values.set(out, Value(value.base, value.shape, places))
                self.values.share(args[0], out)
                return
        if name in SAME and first is not None and self._keeps(name, out, first, args, kwargs):
            if out is not first:
                value = self.values.get(first)
                self.values.set(out, value)
                self.values.share(first, out)
            return
        read = COMPUTED.get(name)
        if name in _CAST and torch.is_autocast_enabled("cpu" if out.is_meta else out.device.type):
            name, read = f"{name} under torch.autocast", None
        try:
            made: Any = None if read is None else read(self.values, out, *args, **kwargs)
        except (TypeError, ValueError, AttributeError):
            made = None  # a form of the function that is not known here
        if made is None:
            self._unknown(name, out, args, kwargs)
            return
        if out is first:
            self.values.invalidate(out, self.table.make("changed", by=name))
        if isinstance(made, Value):
            self.values.set(out, made)
        else:
            self.values.make(out, made)
        number = made.base if isinstance(made, Value) else made
        self.calls[number] = Call(name, _owner(), out, version_of(out))

    def _read_many(self, name: str, out: Any, args: Any, kwargs: Any, before: Any) -> None:
        parts = before[1] if before is not None else None
        for i, part in enumerate(out):
            if not isinstance(part, torch.Tensor):
                continue
            if isinstance(parts, tuple | list) and parts[i].shape == part.shape:
                value = before[0]
                self.values.set(part, Value(value.base, value.shape, parts[i]))
                self.values.share(args[0], part)
            else:
                self._unknown(f"{name}[{i}]", part, args, kwargs)

    def _keeps(self, name: str, out: Any, first: Any, args: Any, kwargs: Any) -> bool:
        if out.dtype != first.dtype or out.shape != first.shape:
            return False
        if name not in DROPOUTS:
            return True
        given = dict(zip(("p", "training"), args[1:], strict=False)) | kwargs
        return given.get("p", 0.5) == 0 or not given.get("training", True)

    def _unknown(self, name: str, out: torch.Tensor, args: Any, kwargs: Any) -> None:
        """Any other function: an expression of its arguments that no network of ours has."""
        read = [self.values.number(x) for x in _tensors((args, kwargs))]
        told = ", ".join(
            [repr(x) for x in args if not _tensors(x)]
            + [f"{key}={x!r}" for key, x in kwargs.items() if not _tensors(x)]
        )
        number = self.table.make("call", *read, function=name, told=told[:200])
        self.values.invalidate(out, number)
        self.values.make(out, number)
        self.calls.setdefault(number, Call(name, _owner(), out, version_of(out)))


def _known(func: Any) -> _Function:
    name = _name(func)
    own = getattr(func, "__name__", "")
    return _Function(name, own, _is_in_place(name, own), name in _LOOKS or name in _MEMORY)


def _name(func: Any) -> str:
    """A function's name without the marks of operators and of changes in place."""
    name = getattr(func, "__name__", type(func).__name__)
    if name == "__set__":
        return _SET_DATA if func.__self__ is torch.Tensor.data else "set"
    if name == "__get__":  # a property, e.g. T
        return str(getattr(func.__self__, "__name__", name))
    if name.startswith("__"):
        return name.strip("_")
    if name in SAME or not name.endswith("_"):
        return str(name)
    return str(name[:-1]) if name[:-1] in COMPUTED or name[:-1] in SAME else str(name)


def _is_in_place(name: str, own: str) -> bool:
    return name == _SET_DATA or (name not in SAME and _WRITING.fullmatch(own) is not None)


def _tensors(tree: Any) -> list[torch.Tensor]:
    if isinstance(tree, torch.Tensor):
        return [tree]
    if isinstance(tree, dict):
        tree = tree.values()
    elif not isinstance(tree, tuple | list):
        return []
    return [tensor for part in tree for tensor in _tensors(part)]


def _owner() -> Any:
    """The module whose method called the function."""
    frame = sys._getframe(2)
    for _ in range(_FRAMES):
        if frame.f_code is not _RECORDED and frame.f_code.co_varnames[:1] == ("self",):
            own = frame.f_locals.get("self")
            if isinstance(own, torch.nn.Module):
                return own
        if frame.f_back is None:
            break
        frame = frame.f_back
    return None


_RECORDED = Recorder.__torch_function__.__code__

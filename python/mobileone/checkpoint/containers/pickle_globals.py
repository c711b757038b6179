"""The globals a torch checkpoint may name, each with an inert stand-in of ours.

Nothing is ever imported because a file says so. What is not in this table is a `Placeholder`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mobileone.checkpoint.containers.pickle_numpy import NUMPY_GLOBALS
from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.checkpoint.containers.tensors import DTYPES, RawTensor, Storage
from mobileone.checkpoint.containers.unpickler import Function, Unpickler
from mobileone.util.errors import CheckpointError


@dataclass(frozen=True, slots=True)
class StorageType:
    """Stands for torch.FloatStorage and its siblings; ``dtype`` is None for untyped bytes."""

    dtype: str | None


@dataclass(frozen=True, slots=True)
class TypedStorage:
    """A window of ``numel`` elements on a storage, from element ``start``."""

    storage: Storage
    dtype: str | None
    start: int
    numel: int


@dataclass(frozen=True, slots=True)
class DType:
    """Stands for torch.float32 and its siblings."""

    name: str


def _tensor(reader: Unpickler, arguments: tuple[Any, ...], dtype: str | None) -> RawTensor:
    window, offset, shape, strides = arguments[:4]
    if type(window) is not TypedStorage or type(offset) is not int:
        raise reader.fail("a tensor without a storage")
    dtype = window.dtype if dtype is None else dtype
    if dtype is None:
        raise reader.fail("a tensor on an untyped storage without a dtype")
    tensor = RawTensor(
        window.storage,
        dtype,
        reader.integers(shape, "a tensor's shape"),
        reader.integers(strides, "a tensor's strides"),
        window.start + offset,
    )
    tensor.check(f"{reader.where}: a tensor near byte {reader.position} of the pickle")
    return tensor


def _with_bits(metadata: object) -> Placeholder | None:
    # {"neg": True} and {"conj": True} change the values that the storage holds.
    plain = metadata is None or metadata == {}
    return None if plain else Placeholder("a tensor with conjugate or negative bit")


def _rebuild_tensor(reader: Unpickler, arguments: tuple[Any, ...]) -> RawTensor:
    _arity(reader, "_rebuild_tensor", arguments, 4, 4)
    return _tensor(reader, arguments, None)


def _rebuild_tensor_v2(reader: Unpickler, arguments: tuple[Any, ...]) -> RawTensor | Placeholder:
    _arity(reader, "_rebuild_tensor_v2", arguments, 6, 7)
    tensor = _tensor(reader, arguments, None)
    return _with_bits(arguments[6] if len(arguments) > 6 else None) or tensor


def _rebuild_tensor_v3(reader: Unpickler, arguments: tuple[Any, ...]) -> RawTensor | Placeholder:
    _arity(reader, "_rebuild_tensor_v3", arguments, 7, 8)
    if type(arguments[6]) is not DType:
        raise reader.fail("a tensor's dtype is not a dtype")
    tensor = _tensor(reader, arguments, arguments[6].name)
    return _with_bits(arguments[7] if len(arguments) > 7 else None) or tensor


def _rebuild_from_type(reader: Unpickler, arguments: tuple[Any, ...]) -> object:
    """A tensor with attributes of its own, which are dropped; of a subclass nothing is known."""
    _arity(reader, "_rebuild_from_type_v2", arguments, 4, 4)
    function, kind, inner, _ = arguments
    known = any(function is GLOBALS[name] for name in _REBUILDS)
    plain = any(kind is GLOBALS[name] for name in _TENSOR_TYPES)
    if not (known and plain) or type(inner) is not tuple:
        return Placeholder("torch._tensor._rebuild_from_type_v2")
    if any(type(argument) is Placeholder for argument in inner):
        return Placeholder("torch._tensor._rebuild_from_type_v2")
    tensor: object = function.call(reader, inner)
    return tensor


def _rebuild_parameter(reader: Unpickler, arguments: tuple[Any, ...]) -> RawTensor:
    _arity(reader, "_rebuild_parameter", arguments, 3, 4)
    if type(arguments[0]) is not RawTensor:
        raise reader.fail("a parameter that is not a tensor")
    return arguments[0]


def _ordered_dict(reader: Unpickler, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    _arity(reader, "OrderedDict", arguments, 0, 1)
    result: dict[Any, Any] = {}
    if not arguments:
        return result
    pairs = arguments[0]
    if type(pairs) is not list or any(type(p) not in (list, tuple) or len(p) != 2 for p in pairs):
        raise reader.fail("an OrderedDict of something else than pairs")
    # Python 2 wrote the items as a list; a list can be passed many times over.
    reader.charge(64 * len(pairs))
    for key, value in pairs:
        result[reader.key(key)] = value
    return result


def _counter(reader: Unpickler, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    _arity(reader, "Counter", arguments, 0, 1)
    if not arguments:
        return {}
    if type(arguments[0]) is not dict:
        raise reader.fail("a Counter of something else than a dict")
    reader.charge(64 * len(arguments[0]))
    return dict(arguments[0])


def _set(reader: Unpickler, arguments: tuple[Any, ...]) -> set[Any]:
    _arity(reader, "set", arguments, 0, 1)
    if not arguments:
        return set()
    if type(arguments[0]) is not list:
        raise reader.fail("a set of something else than a list")
    reader.charge(64 * len(arguments[0]))
    return {reader.key(item) for item in arguments[0]}


def _size(reader: Unpickler, arguments: tuple[Any, ...]) -> tuple[int, ...]:
    _arity(reader, "torch.Size", arguments, 0, 1)
    return reader.integers(arguments[0], "a torch.Size") if arguments else ()


def _encode(reader: Unpickler, arguments: tuple[Any, ...]) -> bytes:
    """`_codecs.encode(text, "latin1")`: how pickle protocol 2 spells bytes."""
    if len(arguments) != 2 or type(arguments[0]) is not str or arguments[1] != "latin1":
        raise reader.fail("a call of _codecs.encode that is not how pickle spells bytes")
    reader.charge(len(arguments[0]))
    try:
        return arguments[0].encode("latin-1")
    except UnicodeEncodeError as error:
        raise reader.fail("bytes with a value above 255") from error


def _default_dict(reader: Unpickler, arguments: tuple[Any, ...]) -> dict[Any, Any]:
    """What makes its missing values is never called."""
    _arity(reader, "defaultdict", arguments, 0, 1)
    return {}


def _tensor_type(name: str) -> Function:
    """torch.Tensor and its like by themselves: a call of one gives no values."""
    return Function(name, lambda reader, arguments: Placeholder(name))


def _arity(reader: Unpickler, name: str, arguments: tuple[Any, ...], least: int, most: int) -> None:
    if not least <= len(arguments) <= most:
        raise reader.fail(f"{name} gets {len(arguments)} arguments; expected {least} to {most}")


# Longer names are nobody's; they are not kept, since a stream can repeat one cheaply.
_MAX_NAME = 200
_STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexFloat": "complex64",
    "ComplexDouble": "complex128",
    # Of quantized tensors, which stay placeholders: only their sizes count.
    "QInt8": "int8",
    "QUInt8": "uint8",
    "QInt32": "int32",
}
_TENSOR_TYPES = ("torch.Tensor", "torch.nn.parameter.Parameter")
_REBUILDS = ("torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3")

GLOBALS: dict[str, object] = {
    **{f"torch.{name}Storage": StorageType(dtype) for name, dtype in _STORAGES.items()},
    **{
        f"torch.storage.{prefix}{name}Storage": StorageType(None)
        for prefix in ("", "_")
        for name in ("Untyped", "Typed")
    },
    **{f"torch.{dtype}": DType(dtype) for dtype in DTYPES},
    "torch._utils._rebuild_tensor": Function("_rebuild_tensor", _rebuild_tensor),
    "torch._utils._rebuild_tensor_v2": Function("_rebuild_tensor_v2", _rebuild_tensor_v2),
    "torch._utils._rebuild_tensor_v3": Function("_rebuild_tensor_v3", _rebuild_tensor_v3),
    "torch._utils._rebuild_parameter": Function("_rebuild_parameter", _rebuild_parameter),
    "torch._utils._rebuild_parameter_with_state": Function(
        "_rebuild_parameter_with_state", _rebuild_parameter
    ),
    "torch._tensor._rebuild_from_type_v2": Function("_rebuild_from_type_v2", _rebuild_from_type),
    **{name: _tensor_type(name) for name in _TENSOR_TYPES},
    "torch.Size": Function("torch.Size", _size),
    "collections.OrderedDict": Function("OrderedDict", _ordered_dict),
    "collections.Counter": Function("Counter", _counter),
    "collections.defaultdict": Function("defaultdict", _default_dict),
    # Protocol 2 spells sets as calls, under Python 2's name of the module.
    **{
        f"{module}.{name}": Function(name, _set)
        for module in ("__builtin__", "builtins")
        for name in ("set", "frozenset")
    },
    "_codecs.encode": Function("_codecs.encode", _encode),
}


def finder() -> Callable[[str, str], object]:
    """`find_global` for an Unpickler: one stand-in or placeholder per name."""
    unknown: dict[str, Placeholder] = {}

    def find(module: str, name: str) -> object:
        if len(module) + len(name) > _MAX_NAME:
            return Placeholder(f"{module[:_MAX_NAME]}.{name[:_MAX_NAME]}")
        qualified = f"{module}.{name}"
        for table in (GLOBALS, NUMPY_GLOBALS):
            if qualified in table:
                return table[qualified]
        return unknown.setdefault(qualified, Placeholder(qualified))

    return find


def storage_size(reader_where: str, kind: object, numel: object) -> tuple[str | None, int]:
    """dtype and bytes of a storage from the type and the number of elements in its id."""
    if type(kind) is not StorageType or type(numel) is not int or not 0 <= numel < 2**60:
        raise CheckpointError(f"{reader_where}: a storage without a type or with a bad size")
    itemsize = 1 if kind.dtype is None else DTYPES[kind.dtype][1]
    return kind.dtype, math.prod((numel, itemsize))

"""Inert reconstruction of NumPy scalars and arrays: metrics and the like beside the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.checkpoint.containers.tensors import DTYPES, RawTensor, Storage, contiguous_strides
from mobileone.checkpoint.containers.unpickler import Function, Unpickler

# NumPy's type codes, e.g. "f4" for float32; bfloat16 and the 8-bit floats are none of NumPy's.
_NAMES = {code: name for name, (code, _) in DTYPES.items() if np.dtype(code).name == name}


@dataclass(slots=True)
class NumpyDType:
    """Stands for numpy.dtype: one of the plain numeric types, and its byte order."""

    name: str
    byteorder: str = "<"

    def set_state(self, reader: Unpickler, state: object) -> None:
        """Takes the byte order."""
        if type(state) is not tuple or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise reader.fail("a numpy.dtype with an unknown state")
        self.byteorder = ">" if state[1] == ">" else "<"


@dataclass(slots=True)
class NumpyArray:
    """Stands for numpy.ndarray. Becomes a tensor once its state is known.

    Not one of strings, dates, records or objects, whose dtype is a placeholder.
    """

    tensor: RawTensor | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes, outermost first; AttributeError where it is no array of numbers."""
        if self.tensor is None:
            raise AttributeError("shape")
        return self.tensor.shape

    def set_state(self, reader: Unpickler, state: object) -> None:
        """Takes shape, dtype, order and data: (version, shape, dtype, is_fortran, bytes)."""
        if type(state) is tuple and len(state) == 5 and type(state[2]) is Placeholder:
            return
        if type(state) is not tuple or len(state) != 5 or type(state[2]) is not NumpyDType:
            raise reader.fail("a numpy.ndarray with an unknown state")
        shape = reader.integers(state[1], "an array's shape")
        if type(state[4]) is not bytes:
            raise reader.fail("a numpy.ndarray without plain data")
        dtype: NumpyDType = state[2]
        strides = contiguous_strides(shape[::-1])[::-1] if state[3] else contiguous_strides(shape)
        storage = Storage("numpy", len(state[4]), memoryview(state[4]), dtype.byteorder)
        tensor = RawTensor(storage, dtype.name, shape, strides)
        tensor.check(f"{reader.where}: a numpy array")
        if math.prod(shape) * DTYPES[dtype.name][1] != len(state[4]):
            raise reader.fail("a numpy.ndarray whose data does not fill its shape")
        self.tensor = tensor


def _dtype(reader: Unpickler, arguments: tuple[Any, ...]) -> NumpyDType | Placeholder:
    code = arguments[0] if arguments else None
    if type(code) is not str:
        raise reader.fail("a numpy.dtype without a type code")
    return NumpyDType(_NAMES[code]) if code in _NAMES else Placeholder("numpy.dtype")


def _reconstruct(reader: Unpickler, arguments: tuple[Any, ...]) -> NumpyArray | Placeholder:
    if len(arguments) != 3 or arguments[0] is not NUMPY_GLOBALS["numpy.ndarray"]:
        return Placeholder("a NumPy array of a subclass")
    return NumpyArray()


def _from_buffer(reader: Unpickler, arguments: tuple[Any, ...]) -> NumpyArray:
    """Protocol 5's arrays: `_frombuffer(bytes, dtype, shape, order)`."""
    if len(arguments) != 4:
        raise reader.fail("a numpy.ndarray with an unknown buffer")
    data, dtype, shape, order = arguments
    array = NumpyArray()
    array.set_state(reader, (1, shape, dtype, order == "F", data))
    return array


def _scalar(reader: Unpickler, arguments: tuple[Any, ...]) -> object:
    if [type(argument) for argument in arguments] != [NumpyDType, bytes]:
        raise reader.fail("a NumPy scalar without dtype and bytes")
    dtype: NumpyDType = arguments[0]
    code, itemsize = DTYPES[dtype.name]
    if len(arguments[1]) != itemsize:
        raise reader.fail("a NumPy scalar of another size than its dtype's")
    return np.frombuffer(arguments[1], dtype.byteorder + code)[0].item()


def _new_array(reader: Unpickler, arguments: tuple[Any, ...]) -> Placeholder:
    return Placeholder("a call of numpy.ndarray")


NUMPY_GLOBALS: dict[str, object] = {
    "numpy.ndarray": Function("numpy.ndarray", _new_array),
    "numpy.dtype": Function("numpy.dtype", _dtype),
    **{
        f"{package}.multiarray.{name}": Function(name, call)
        for package in ("numpy.core", "numpy._core")
        for name, call in (("scalar", _scalar), ("_reconstruct", _reconstruct))
    },
    **{
        f"{package}.numeric._frombuffer": Function("_frombuffer", _from_buffer)
        for package in ("numpy.core", "numpy._core")
    },
}

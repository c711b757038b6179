"""Tensors as a container describes them, and their conversion to the arrays the engine takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mobileone.util.errors import CheckpointError, Shape, shown, shown_value

if TYPE_CHECKING:
    import numpy.typing as npt

# Name -> (NumPy type string without byte order, bytes per element). bfloat16 travels as uint16.
DTYPES: dict[str, tuple[str, int]] = {
    "float64": ("f8", 8),
    "float32": ("f4", 4),
    "float16": ("f2", 2),
    "bfloat16": ("u2", 2),
    "int64": ("i8", 8),
    "int32": ("i4", 4),
    "int16": ("i2", 2),
    "int8": ("i1", 1),
    "uint64": ("u8", 8),
    "uint32": ("u4", 4),
    "uint16": ("u2", 2),
    "uint8": ("u1", 1),
    "bool": ("b1", 1),
    "complex32": ("u4", 4),
    "complex64": ("c8", 8),
    "complex128": ("c16", 16),
    "float8_e4m3fn": ("u1", 1),
    "float8_e5m2": ("u1", 1),
    "float8_e4m3fnuz": ("u1", 1),
    "float8_e5m2fnuz": ("u1", 1),
    "float8_e8m0fnu": ("u1", 1),
}
FLOATING = ("float64", "float32", "float16", "bfloat16")
INTEGER = ("int64", "int32", "int16", "int8", "uint64", "uint32", "uint16", "uint8")

MAX_RANK = 8
# An empty tensor may claim any size in its other dimensions; the engine's integers have 64 bits.
MAX_SIZE = 2**40
RELEASE_STEP = 8 << 20


@dataclass(slots=True)
class Storage:
    """A flat run of bytes that tensors look into. ``data`` is set once it has been located.

    ``crc`` is the CRC-32 that the bytes must have when they are first used; 0 for none.
    """

    key: str
    nbytes: int
    data: memoryview | None = None
    byteorder: str = "<"
    crc: int = 0

    def check(self, where: str) -> None:
        """Raises CheckpointError where the bytes are not those that were written."""
        if self.crc and self.data is not None:
            from mobileone.checkpoint.containers.zip_archive import check_crc

            check_crc(f"{where}: storage {shown(self.key)}", self.data, self.crc)
            self.crc = 0


@dataclass(frozen=True, slots=True)
class RawTensor:
    """A strided view of a storage; ``offset`` and ``strides`` count elements, not bytes."""

    storage: Storage
    dtype: str
    shape: Shape
    strides: Shape
    offset: int = 0

    def check(self, where: str) -> None:
        """Raises CheckpointError unless every element lies inside the storage.

        A view with more elements than its storage holds (stride 0) is refused too: it would let a
        small file ask for any amount of memory.
        """
        itemsize = DTYPES[self.dtype][1]
        capacity = self.storage.nbytes // itemsize
        if len(self.shape) != len(self.strides) or len(self.shape) > MAX_RANK:
            raise CheckpointError(
                f"{where}: shape has {len(self.shape)} dimensions and {len(self.strides)} strides; "
                f"expected the same number, at most {MAX_RANK}"
            )
        if min(self.shape, default=1) < 0 or min(self.strides, default=0) < 0 or self.offset < 0:
            raise CheckpointError(
                f"{where}: negative size, stride or offset: shape {self.shape}, "
                f"strides {self.strides}, offset {self.offset}"
            )
        if max(self.shape, default=0) >= MAX_SIZE:
            raise CheckpointError(
                f"{where}: shape {shown_value(list(self.shape))}; expected sizes below 2**40"
            )
        count = math.prod(self.shape)
        if count == 0:
            return
        last = self.offset + sum((n - 1) * s for n, s in zip(self.shape, self.strides, strict=True))
        if last >= capacity or count > capacity:
            raise CheckpointError(
                f"{where}: shape {self.shape} with strides {self.strides} at offset {self.offset} "
                f"needs elements up to {max(last + 1, count)}; its storage holds {capacity}"
            )

    def array(self, where: str) -> npt.NDArray[np.generic]:
        """The view itself, without copying: read-only where the storage is."""
        self.check(where)
        code, itemsize = DTYPES[self.dtype]
        dtype = np.dtype(self.storage.byteorder + code)
        if math.prod(self.shape) == 0:
            raise CheckpointError(f"{where}: shape {self.shape} has no elements")
        if self.storage.data is None:
            raise CheckpointError(f"{where}: storage {shown(self.storage.key)} has no data")
        self.storage.check(where)
        array: npt.NDArray[np.generic] = np.ndarray(
            self.shape,
            dtype,
            buffer=self.storage.data,
            offset=self.offset * itemsize,
            strides=tuple(
                (stride if size > 1 else 1) * itemsize
                for size, stride in zip(self.shape, self.strides, strict=True)
            ),
        )
        return array


def contiguous_strides(shape: Shape) -> Shape:
    """Row-major strides in elements."""
    strides: list[int] = []
    step = 1
    for size in reversed(shape):
        strides.append(step)
        step *= max(size, 1)
    return tuple(reversed(strides))


@dataclass
class CopyBudget:
    """Bounds what conversions may allocate, so that many views of one storage stay cheap.

    ``release`` is called after every RELEASE_STEP bytes: what has been converted is not needed in
    its original form any more.
    """

    where: str
    limit: int
    release: Callable[[], None]
    used: int = field(default=0)

    def charge(self, nbytes: int) -> None:
        """Raises CheckpointError when this allocation exceeds the limit."""
        steps = self.used // RELEASE_STEP
        self.used += nbytes
        if self.used // RELEASE_STEP > steps:
            self.release()
        if self.used > self.limit:
            raise CheckpointError(
                f"{self.where}: its tensors would take more than {self.limit} bytes to convert, "
                "several times the size of the file"
            )


def widen_bfloat16(bits: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
    """float32 from bfloat16 bit patterns: the upper half of a float32, so exact."""
    wide: npt.NDArray[np.uint32] = bits.astype(np.uint32)
    wide <<= np.uint32(16)
    widened: npt.NDArray[np.float32] = wide.view(np.float32)
    return widened


def to_float32(
    where: str, dtype: str, array: npt.NDArray[np.generic], budget: CopyBudget | None = None
) -> npt.NDArray[np.float32]:
    """A C-contiguous, aligned float32 array; the input itself when it already is one.

    Args:
        where: source and tensor name, for messages.
        dtype: name in DTYPES; needed because bfloat16 has no NumPy dtype of its own.
        array: its elements.
        budget: charged with what is copied.

    Raises:
        CheckpointError: not floating point, no elements, or not finite as float32.
    """
    if dtype not in FLOATING:
        raise CheckpointError(
            f"{where}: dtype {dtype}, shape {array.shape}; "
            f"expected a floating-point weight ({', '.join(FLOATING)})"
        )
    if array.size == 0:
        raise CheckpointError(f"{where}: shape {array.shape} has no elements")
    flags = array.flags
    if array.dtype == np.float32 and flags.c_contiguous and flags.aligned:
        result: npt.NDArray[np.float32] = array  # type: ignore[assignment]
    else:
        if budget is not None:
            budget.charge(4 * array.size)
        if dtype == "bfloat16":
            array = widen_bfloat16(array)
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.array(array, np.float32, order="C")
    check_finite(where, result)
    return result


def check_finite(where: str, array: npt.NDArray[np.float32]) -> None:
    """Raises CheckpointError at the first NaN or infinity."""
    with np.errstate(all="ignore"):
        # NaN and infinity survive summing, so a finite sum proves the array finite in one pass.
        if np.isfinite(array.sum()):
            return
    finite = np.isfinite(array)
    if not finite.all():
        at = tuple(int(i) for i in np.unravel_index(int(np.argmin(finite)), array.shape))
        raise CheckpointError(
            f"{where}: {array[at]} at {list(at)}, {int((~finite).sum())} of {array.size} values "
            "are NaN or infinite (as float32); expected finite weights"
        )


def to_count(where: str, dtype: str, array: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    """An int64 scalar from ``num_batches_tracked``, which averaging may have made floating."""
    if array.size != 1 or dtype not in INTEGER + FLOATING:
        raise CheckpointError(
            f"{where}: dtype {dtype}, shape {array.shape}; expected one int64 count"
        )
    value = widen_bfloat16(array).item() if dtype == "bfloat16" else array.item()
    if not (math.isfinite(value) and 0 <= value < 2**63):
        raise CheckpointError(f"{where}: {value}; expected a count of batches")
    return np.array(int(value), np.int64)


@lru_cache(64)
def dtype_name(dtype: np.dtype[np.generic]) -> str:
    """The name in DTYPES of a NumPy dtype, or NumPy's own where it has none there."""
    name: str = dtype.newbyteorder("=").name
    return name

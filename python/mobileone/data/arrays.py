"""Arrays in and out: what the engine takes, and what is turned into it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from mobileone.data.config import DataConfig

# What NDArray[np.float32] stands for: importing numpy.typing takes milliseconds.
Float32 = np.ndarray[Any, np.dtype[np.float32]]


def as_images(
    x: Any,
    channels: int,
    data: DataConfig | Callable[[], DataConfig] | None = None,
    min_size: int = 1,
) -> Float32:
    """`x` as a C-contiguous float32 array [N, channels, H, W]; zero-copy when it already is one.

    Takes anything with ``__dlpack__`` or ``__array__`` (NumPy, torch on the CPU, ...), any strides,
    float16, float32 or float64; with `data`, or what returns it, also uint8 RGB images, NCHW or
    NHWC, which the engine normalises in one pass.

    Raises:
        ValueError: wrong rank, number of channels or size.
        TypeError: not an array of floating-point numbers.
    """
    array = as_numpy(x)
    if data is not None and array.dtype == np.uint8:
        from mobileone.data.pixels import channels_first, normalise

        view = channels_first(array, channels)
        check_shape(view.shape, channels, min_size)
        return normalise(view, data() if callable(data) else data)
    if array.dtype.kind != "f":
        also = "" if data is None else ", or uint8 pixels"
        raise TypeError(
            f"x has dtype {array.dtype}; expected floating point, normalised as in training{also}"
        )
    check_shape(array.shape, channels, min_size)
    return np.require(array, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def as_numpy(x: Any) -> npt.NDArray[Any]:
    """A NumPy view of `x` where possible, else a copy.

    Raises:
        ValueError: elements of a masked array are masked.
    """
    if isinstance(x, np.ndarray):
        return unmasked(x)  # type: ignore[no-any-return]
    if not hasattr(x, "__dlpack__"):
        return np.asarray(x)
    if hasattr(x, "detach"):  # a torch tensor that requires grad exports neither way
        x = x.detach()
        # Bits that its DLPack leaves out: the values are the negated or conjugated ones in memory.
        for resolve in ("resolve_conj", "resolve_neg"):
            x = getattr(x, resolve, lambda x=x: x)()
        if str(getattr(x, "dtype", "")) == "torch.bfloat16":  # NumPy has no bfloat16
            x = x.float()
    try:
        return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError):
        pass  # another device, or a dtype that DLPack or NumPy lacks: __array__ may convert
    return np.asarray(x)


def unmasked(x: Any) -> Any:
    """`x` itself; ValueError for a masked array with masked elements, which have no values."""
    if type(x) is not np.ndarray and hasattr(x, "mask") and np.ma.is_masked(x):
        count = int(np.ma.getmaskarray(x).sum())
        raise ValueError(f"a masked array with {count} masked elements; fill them first")
    return x


def is_several(image: Any) -> bool:
    """Whether several images were given, even if a list of one: a list, or an array of 4 axes."""
    return isinstance(image, list | tuple) or getattr(image, "ndim", 0) == 4


def check_shape(shape: tuple[int, ...], channels: int, min_size: int = 1) -> None:
    """ValueError unless `shape` is (batch, channels, height, width) of at least that size."""
    if len(shape) != 4:
        raise ValueError(f"x has shape {shape}; expected (batch, {channels}, height, width)")
    if shape[1] != channels:
        hint = " (channels come first: NCHW)" if shape[3] == channels else ""
        raise ValueError(f"x has shape {shape}; expected {channels} channels{hint}")
    if min(shape[2:]) < min_size:
        raise ValueError(f"x has shape {shape}; height and width must be at least {min_size}")


def output_array(out: Any, shape: tuple[int, ...]) -> Float32:
    """`out` checked to be a writeable C-contiguous float32 array of `shape`; a new one for None."""
    if out is None:
        return np.empty(shape, np.float32)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out is a {type(out).__name__}; expected a NumPy array")
    fits = out.dtype == np.float32 and out.shape == shape and out.flags.c_contiguous
    if not fits or not out.flags.writeable:
        strides = "C-contiguous" if out.flags.c_contiguous else "strided"
        mode = "writeable" if out.flags.writeable else "read-only"
        raise ValueError(
            f"out is a {mode} {strides} {out.dtype} array of shape {out.shape}; "
            f"expected a writeable C-contiguous float32 array of shape {shape}"
        )
    return out

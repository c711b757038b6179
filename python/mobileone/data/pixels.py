"""8-bit images as arrays: their axes, and their normalisation by the engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import normalize_images

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.config import DataConfig

__all__ = ["channels_first", "normalise"]

Pixels = np.ndarray[Any, np.dtype[np.uint8]]


def channels_first(images: npt.NDArray[Any], channels: int) -> npt.NDArray[Any]:
    """A view [N, channels, H, W] of images that are NCHW or NHWC; whichever axis fits.

    Raises:
        ValueError: not four axes, or no axis, or both, of that many channels.
    """
    shape = images.shape
    if len(shape) != 4:
        raise ValueError(f"x has shape {shape}; expected 4 axes, (N, {channels}, H, W) or NHWC")
    first, last = shape[1] == channels, shape[3] == channels
    if first == last:
        found = "could be either" if first else "is neither"
        raise ValueError(
            f"x has shape {shape}, which {found} of (N, {channels}, H, W) and (N, H, W, {channels})"
        )
    return images if first else images.transpose(0, 3, 1, 2)


def normalise(images: Pixels, config: DataConfig) -> npt.NDArray[np.float32]:
    """RGB pixels [N, C, H, W], any strides, as what the network takes: float32, contiguous.

    Every value is `config`'s formula in float64, rounded once.
    """
    view = images[:, ::-1] if config.channel_order == "BGR" else images
    out = np.empty(images.shape, np.float32)
    normalize_images(view, *config.value_range, config.mean, config.std, out)
    return out

"""Images of any kind as network input: what `Model.preprocess` does."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32, as_numpy, check_shape
from mobileone.data.pixels import Pixels, channels_first, normalise

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from mobileone.data.config import DataConfig

__all__ = ["open_image", "pillow", "preprocess", "resize_and_crop"]

# A float image that goes up to here and has no negative values was hardly ever normalised.
_LOOKS_LIKE_PIXELS = 20.0


def preprocess(
    image: Any, config: DataConfig, *, min_size: int = 1, stacklevel: int = 3
) -> Float32:
    """Images as float32 [N, C, H, W], contiguous.

    Args:
        image: pixels: a path, a PIL image, or uint8 RGB, HWC or CHW, or a batch of these with a
            first axis N; or network input: floating point, CHW or NCHW, taken as it is. A list
            holds single images, of any kinds and sizes.
        config: what pixels are resized, cropped and normalised to.
        min_size: the smallest height and width of network input.

    Warns:
        UserWarning: values that normalised images, or pixels, cannot have.

    Raises:
        ValueError: not an image, or arrays of another shape.
        TypeError: arrays of another dtype.
        FileNotFoundError: there is no such file.
        ImportError: pixels, and Pillow is not installed.
    """
    if isinstance(image, list | tuple):
        if not image:
            raise ValueError("image is an empty list; expected at least one image")
        single = []
        for one in image:
            single.append(  # noqa: PERF401 - a comprehension would be a frame of its own
                preprocess(one, config, min_size=min_size, stacklevel=stacklevel + 1)
            )
        sizes = {array.shape for array in single}
        if len(sizes) > 1 or single[0].shape[0] != 1:
            raise ValueError(f"image is a list of shapes {sorted(sizes)}; expected single images")
        return np.concatenate(single)
    if isinstance(image, str | os.PathLike):
        return _from_pillow(open_image(image), config)
    if hasattr(image, "convert") and hasattr(image, "getexif"):
        return _from_pillow(_upright(image, "image"), config)
    array = as_numpy(image)
    if array.dtype == np.uint8:
        return _from_pixels(array, config, stacklevel)
    if array.dtype.kind != "f":
        raise TypeError(
            f"image has dtype {array.dtype}; expected uint8 pixels, or normalised floating point"
        )
    return _from_floats(array, config, min_size, stacklevel)


def open_image(path: str | os.PathLike[str]) -> PillowImage.Image:
    """The image file as 8-bit RGB, turned upright as its EXIF data says.

    Raises:
        ValueError: not an image that Pillow can read.
        FileNotFoundError: there is no such file.
        ImportError: Pillow is not installed.
    """
    where = os.fsdecode(path)
    image_module = pillow(where)
    with open(where, "rb") as file:
        # Decoders report damage by many types of exception: to the caller all mean one thing.
        try:
            with image_module.open(file) as image:
                image.load()
        except Exception as error:
            raise ValueError(
                f"{where}: expected an image that Pillow can read; {type(error).__name__}: {error}"
            ) from error
    return _upright(image, where)


def resize_and_crop(image: PillowImage.Image, config: DataConfig) -> PillowImage.Image:
    """The centre of the image at the network's size, as timm evaluates.

    The image is shrunk or enlarged, keeping its proportions, until it just covers
    ``floor(input_size / crop_pct)``; of that the central `input_size` is kept.
    """
    from PIL import Image

    height, width = config.input_size
    cover_h, cover_w = (int(extent / config.crop_pct) for extent in (height, width))
    if cover_h * image.width >= cover_w * image.height:
        size = (image.width * cover_h // image.height, cover_h)
    else:
        size = (cover_w, image.height * cover_w // image.width)
    method = Image.Resampling[config.interpolation.upper()]
    resized = image if size == image.size else image.resize(size, method)
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    return resized.crop((left, top, left + width, top + height))


def _from_pillow(image: PillowImage.Image, config: DataConfig) -> Float32:
    return normalise(channels_first(_resized(image, config)[None], 3), _for_rgb(config))


def _from_pixels(array: npt.NDArray[Any], config: DataConfig, stacklevel: int) -> Float32:
    _for_rgb(config)
    if array.ndim not in (3, 4):
        raise ValueError(
            f"image has shape {array.shape}; expected HWC or CHW pixels, or a batch of these"
        )
    view = channels_first(array if array.ndim == 4 else array[None], 3)
    if view.size and 0 < view.max() <= 1:
        warnings.warn(
            "image is uint8, but no pixel is above 1: expected 0 to 255; were values of 0..1 cast?",
            UserWarning,
            stacklevel=stacklevel,
        )
    image_module = pillow("image")
    if 0 in view.shape[2:]:
        raise ValueError(f"image has shape {array.shape}; expected at least one pixel")
    height, width = config.input_size
    resized = np.empty((len(view), height, width, 3), np.uint8)
    for one, pixels in zip(resized, view.transpose(0, 2, 3, 1), strict=True):
        one[:] = _resized(image_module.fromarray(np.ascontiguousarray(pixels)), config)
    return normalise(channels_first(resized, 3), config)


def _from_floats(
    array: npt.NDArray[Any], config: DataConfig, min_size: int, stacklevel: int
) -> Float32:
    images = array[None] if array.ndim == 3 else array
    channels = len(config.mean)
    if images.ndim == 4 and images.shape[1] != channels and images.shape[3] == channels:
        raise ValueError(
            f"image has dtype {array.dtype} and shape {array.shape}; floating-point arrays are "
            "normalised input, channels first. Give pixels as uint8"
        )
    check_shape(images.shape, channels, min_size)
    suspicion = _suspicion(images, config)
    if suspicion:
        warnings.warn(suspicion, UserWarning, stacklevel=stacklevel)
    return np.require(images, np.float32, ["C_CONTIGUOUS", "ALIGNED"])


def _suspicion(images: npt.NDArray[Any], config: DataConfig) -> str:
    """Why these cannot be images that were normalised by `config`; empty if they can."""
    if not images.size:
        return ""
    low, high = config.limits
    least, most = float(images.min()), float(images.max())
    advice = "Give pixels as uint8, or normalise them (Model.preprocess does)"
    found = f"image has values from {least:.4g} to {most:.4g}"
    if not (np.isfinite(least) and np.isfinite(most)):
        return "image has values that are not finite"
    if least >= 0 and most > max(high, _LOOKS_LIKE_PIXELS):
        return (
            f"{found}, like pixels of 0..255; the network expects {low:.4g} to {high:.4g}. {advice}"
        )
    if least >= 0 and 0.5 < most <= 1 and low <= -1:
        return (
            f"{found}, like pixels of 0..1; the network expects {low:.4g} to {high:.4g}. {advice}"
        )
    # Resampling overshoots, and augmentations add noise: by less than half of the range.
    slack = (high - low) / 2
    if least < low - slack or most > high + slack:
        return f"{found}; the network expects {low:.4g} to {high:.4g}"
    return ""


def _resized(image: PillowImage.Image, config: DataConfig) -> Pixels:
    return np.asarray(resize_and_crop(image, config))


def _for_rgb(config: DataConfig) -> DataConfig:
    if len(config.mean) != 3:
        raise ValueError(
            f"images have 3 channels, this network has {len(config.mean)}: give it normalised "
            "floating-point arrays"
        )
    return config


def _upright(image: PillowImage.Image, where: str) -> PillowImage.Image:
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        raise ValueError(
            f"{where}: an image of mode {image.mode}, with more than 8 bits per channel; scale it "
            "to 0..255 first"
        )
    return ImageOps.exif_transpose(image).convert("RGB")


def pillow(where: str) -> Any:
    """The module PIL.Image; ImportError that names `where` and the extra."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{where}: reading or resizing an image needs Pillow: pip install 'mobileone[image]'"
        ) from error
    return Image

"""Images of any kind as network input: what `Model.preprocess` does."""

from __future__ import annotations

import io
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

__all__ = [
    "ImageError",
    "covering_size",
    "is_file",
    "is_picture",
    "open_image",
    "open_picture",
    "picture_mode",
    "pillow",
    "preprocess",
    "resize_and_crop",
]

# A float image that goes up to here and has no negative values was hardly ever normalised.
_LOOKS_LIKE_PIXELS = 20.0
# Pixels that an image may have while it is resized.
_MAX_RESIZED = 1 << 24
# What files and Pillow's images are converted to, by the network's channels.
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


class ImageError(ValueError):
    """A file that Pillow cannot read as a picture, or a picture that cannot be converted."""


def preprocess(
    image: Any, config: DataConfig, *, min_size: int = 1, stacklevel: int = 3
) -> Float32:
    """Images as float32 [N, C, H, W], contiguous.

    Args:
        image: pixels: a path, an open binary file or its bytes, a PIL image, or uint8 RGB, HWC or
            CHW, or a batch of these with a first axis N; or network input: floating point, CHW or
            NCHW, taken as it is. A list holds single images, of any kinds and sizes. Files and PIL
            images are converted to gray or to RGBA for networks of one or four channels.
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
    if is_picture(image):
        return _from_pillow(open_picture(image, picture_mode(config)), config)
    array = as_numpy(image)
    if array.dtype == np.uint8:
        return _from_pixels(array, config, stacklevel)
    if array.dtype.kind != "f":
        raise TypeError(
            f"image has dtype {array.dtype}; expected uint8 pixels, or normalised floating point"
        )
    return _from_floats(array, config, min_size, stacklevel)


def is_picture(image: Any) -> bool:
    """Whether it is one picture for Pillow: a file, or an image of its own."""
    return is_file(image) or (hasattr(image, "convert") and hasattr(image, "getexif"))


def is_file(image: Any) -> bool:
    """Whether it is a path, an open file, or the bytes of one."""
    kinds = (str, os.PathLike, bytes, bytearray, memoryview)
    return isinstance(image, kinds) or callable(getattr(image, "read", None))


def open_image(
    source: Any,
    mode: str = "RGB",
    *,
    upright: bool = True,
    at_least: tuple[int, int] | None = None,
) -> PillowImage.Image:
    """An image file in an 8-bit `mode`, turned upright as its EXIF data says.

    Args:
        source: a path; bytes; or an open binary file, which is read from its beginning where it can
            be, left open, and left where it was.
        mode: Pillow's name of it.
        upright: False leaves the pixels as they are stored, as torchvision and timm do.
        at_least: (height, width): a JPEG file may be decoded at 1/2, 1/4 or 1/8 of its size, as
            long as that is not smaller. Quicker, and other pixels.

    Raises:
        ImageError: not an image that Pillow can read.
        FileNotFoundError: there is no such file.
        ImportError: Pillow is not installed.
    """
    named = isinstance(source, str | os.PathLike)
    where = os.fsdecode(source) if named else f"the given {type(source).__name__}"
    image_module = pillow(where)
    with open(where, "rb") if named else io.BytesIO(_bytes_of(source, where)) as file:
        # Decoders report damage by many types of exception: to the caller all mean one thing.
        try:
            with image_module.open(file) as image:
                if at_least is not None:
                    image.draft(None, at_least[::-1])
                image.load()
        except Exception as error:
            raise ImageError(
                f"{where}: expected an image that Pillow can read; {type(error).__name__}: {error}"
            ) from error
    return _converted(image, where, mode, upright=upright)


def open_picture(image: Any, mode: str, *, upright: bool = True) -> PillowImage.Image:
    """One picture, a file or a PIL image, as `open_image` does."""
    if is_file(image):
        return open_image(image, mode, upright=upright)
    return _converted(image, "image", mode, upright=upright)


def _bytes_of(source: Any, where: str) -> bytes | bytearray | memoryview:
    if isinstance(source, bytes | bytearray | memoryview):
        return source
    position = source.tell() if source.seekable() else None
    if position is not None:
        source.seek(0)
    content = source.read()
    if position is not None:
        source.seek(position)
    if not isinstance(content, bytes):
        raise TypeError(
            f"{where}: reads {type(content).__name__}; expected a file opened as binary"
        )
    return content


def covering_size(config: DataConfig) -> tuple[int, int]:
    """(height, width) that a resized image just covers, before it is cropped."""
    height, width = config.input_size
    return int(height / config.crop_pct), int(width / config.crop_pct)


def resize_and_crop(image: PillowImage.Image, config: DataConfig) -> PillowImage.Image:
    """The centre of the image at the network's size, as timm evaluates.

    The image is shrunk or enlarged, keeping its proportions, until it just covers
    ``floor(input_size / crop_pct)``; of that the central `input_size` is kept. Where the whole
    would have more than 2^24 pixels (of long, narrow images), only the centre is computed.
    """
    from PIL import Image

    height, width = config.input_size
    cover_h, cover_w = covering_size(config)
    if cover_h * image.width >= cover_w * image.height:
        size = (image.width * cover_h // image.height, cover_h)
    else:
        size = (cover_w, image.height * cover_w // image.width)
    method = Image.Resampling[config.interpolation.upper()]
    left, top = round((size[0] - width) / 2), round((size[1] - height) / 2)
    if size[0] * size[1] > _MAX_RESIZED:
        x, y = image.width / size[0], image.height / size[1]
        box = (left * x, top * y, (left + width) * x, (top + height) * y)
        return image.resize((width, height), method, box)
    resized = image if size == image.size else image.resize(size, method)
    return resized.crop((left, top, left + width, top + height))


def _from_pillow(image: PillowImage.Image, config: DataConfig) -> Float32:
    pixels = _resized(image, config)
    batch = pixels.reshape(1, *pixels.shape[:2], len(config.mean)).transpose(0, 3, 1, 2)
    return normalise(batch, config)


def _from_pixels(array: npt.NDArray[Any], config: DataConfig, stacklevel: int) -> Float32:
    channels = len(config.mean)
    if array.ndim == 2 and channels == 1:
        array = array[None]
    if array.ndim not in (3, 4):
        raise ValueError(
            f"image has shape {array.shape}; expected HWC or CHW pixels, or a batch of these"
        )
    view = channels_first(array if array.ndim == 4 else array[None], channels)
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
    resized = np.empty((len(view), channels, height, width), np.uint8)
    for one, pixels in zip(resized, view, strict=True):
        if channels == 3:
            rgb = image_module.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
            one[:] = _resized(rgb, config).transpose(2, 0, 1)
            continue
        for channel, values in zip(one, pixels, strict=True):
            gray = image_module.fromarray(np.ascontiguousarray(values))
            channel[:] = _resized(gray, config)
    return normalise(resized, config)


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


def picture_mode(config: DataConfig) -> str:
    """Pillow's mode of what pictures are converted to; ValueError if it has none."""
    channels = len(config.mean)
    if channels not in _MODES:
        raise ValueError(
            f"a picture has 1, 3 or 4 channels, this network {channels}: give it arrays"
        )
    return _MODES[channels]


def _converted(
    image: PillowImage.Image, where: str, mode: str, *, upright: bool = True
) -> PillowImage.Image:
    from PIL import ImageOps

    if image.mode.startswith(("I", "F")):
        raise ImageError(
            f"{where}: an image of mode {image.mode}, with more than 8 bits per channel; scale it "
            "to 0..255 first"
        )
    return (ImageOps.exif_transpose(image) if upright else image).convert(mode)


def pillow(where: str) -> Any:
    """The module PIL.Image; ImportError that names `where` and the extra."""
    try:
        from PIL import Image
    except ImportError as error:
        raise ImportError(
            f"{where}: reading or resizing an image needs Pillow: pip install 'mobileone[image]'"
        ) from error
    return Image

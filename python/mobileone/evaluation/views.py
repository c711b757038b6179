"""Pictures as the networks that are evaluated see them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mobileone.data.config import DataConfig
from mobileone.data.corruption.corrupt import corrupt
from mobileone.data.datasets.shards import FileRange
from mobileone.data.preprocessing import (
    ImageError,
    covering_size,
    is_file,
    is_picture,
    open_image,
    open_picture,
    picture_mode,
    resize_and_crop,
)

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image as PillowImage

__all__ = [
    "Corrupted",
    "Decoding",
    "decode",
    "decode_all",
    "is_array",
    "is_encoded",
]

_ORIENTATION = 0x0112  # EXIF's tag


class Corrupted(NamedTuple):
    """A picture that is corrupted once it has the network's size; see `data.corruption`."""

    source: Any
    corruption: str
    severity: int
    seed: int


@dataclass(frozen=True)
class Decoding:
    """How files become pixels.

    Attributes:
        configs: distinct data configs of the networks.
        upright: whether pictures are turned as their EXIF data say.
        scaled: whether JPEG files are decoded at a fraction of their size where that suffices.
    """

    configs: tuple[DataConfig, ...]
    upright: bool = False
    scaled: bool = False

    def shapes(self, count: int) -> list[tuple[int, int, int, int]]:
        """Of `count` pictures for each config: NHWC."""
        return [(count, *config.input_size, len(config.mean)) for config in self.configs]


def _clean(source: Any) -> Any:
    """What a corrupted picture is made of; others are that themselves."""
    return source.source if isinstance(source, Corrupted) else source


def is_encoded(source: Any) -> bool:
    """Whether a picture's source is a file that any process can decode."""
    return isinstance(_clean(source), str | bytes | FileRange)


def decode(source: Any, decoding: Decoding, out: Sequence[npt.NDArray[np.uint8]], row: int) -> bool:
    """Puts the pixels of one picture into `out[config][row]`.

    Returns:
        Whether its EXIF data ask for a turn that was not made.

    Raises:
        ImageError: it cannot be read.
    """
    own = _clean(source)
    content = own.read() if isinstance(own, FileRange) else own
    opened: dict[str, PillowImage.Image] = {}
    for config, pixels in zip(decoding.configs, out, strict=True):
        mode = picture_mode(config)
        if mode not in opened:
            opened[mode] = _open(content, mode, decoding)
        resized = np.asarray(resize_and_crop(opened[mode], config))
        if isinstance(source, Corrupted):
            resized = corrupt(resized, *source[1:])
        pixels[row] = resized.reshape(pixels.shape[1:])
    turned = any(image.getexif().get(_ORIENTATION, 1) != 1 for image in opened.values())
    return turned and not decoding.upright


def decode_all(
    sources: Sequence[Any], decoding: Decoding, out: Sequence[npt.NDArray[np.uint8]]
) -> tuple[dict[int, str], int]:
    """Puts the pixels of pictures into the first rows of every `out[config]`.

    Returns:
        What is wrong with those that cannot be read, by row, which are black; and how many have an
        EXIF orientation that was not applied.
    """
    errors, rotated = {}, 0
    for row, source in enumerate(sources):
        try:
            rotated += decode(source, decoding, out, row)
        except (ImageError, OSError) as error:
            errors[row] = str(error)
            for pixels in out:
                pixels[row] = 0
    return errors, rotated


def _open(content: Any, mode: str, decoding: Decoding) -> PillowImage.Image:
    if not is_file(content):
        return open_picture(content, mode, upright=decoding.upright)
    sizes = [covering_size(config) for config in decoding.configs]
    least = tuple(max(size[axis] for size in sizes) for axis in (0, 1))
    return open_image(
        content,
        mode,
        upright=decoding.upright,
        at_least=(least[0], least[1]) if decoding.scaled else None,
    )


def is_array(source: Any) -> bool:
    """Whether it is an array, of pixels or of network input."""
    own = _clean(source)
    return not (isinstance(own, FileRange) or is_picture(own))

"""Pictures with a class for every pixel, as Pascal VOC and ADE20k store them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from mobileone.data.datasets.folder import is_image_file
from mobileone.data.preprocessing import ImageError, open_picture, pillow

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image as PillowImage

__all__ = ["IGNORED", "LabelledFiles", "PixelSamples", "open_pixel_labels"]

# The label of pixels that do not count.
IGNORED = 255


class PixelSamples(Protocol):
    """Pictures with label maps, one by one."""

    name: str

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """What a picture is called."""

    def image(self, index: int) -> PillowImage.Image:
        """One picture, of mode RGB."""

    def labels(self, index: int) -> npt.NDArray[Any]:
        """The class of each of its pixels, uint8 [H, W]; 255 does not count."""


class LabelledFiles:
    """Files of pictures and of their label maps: PNG, 8 bits a pixel, grey or with a palette.

    Args:
        name: of the data.
        pairs: (picture, label map) by path.
        less_one: whether labels count from 1 and 0 is no class, as ADE20k's.

    Raises:
        ValueError: no pairs.
    """

    def __init__(
        self, name: str, pairs: Sequence[tuple[Path, Path]], *, less_one: bool = False
    ) -> None:
        if not pairs:
            raise ValueError(f"{name}: no pictures with label maps; expected some")
        self.name, self._pairs, self._less_one = name, list(pairs), less_one

    def __len__(self) -> int:
        return len(self._pairs)

    def key(self, index: int) -> str:
        """The path of a picture."""
        return str(self._pairs[index][0])

    def image(self, index: int) -> PillowImage.Image:
        """One picture as it is stored, of mode RGB."""
        return open_picture(self._pairs[index][0], "RGB", upright=False)

    def labels(self, index: int) -> npt.NDArray[Any]:
        """The class of each of its pixels, uint8 [H, W]; 255 does not count.

        Raises:
            ImageError: a label map of other than 8 bits a pixel, or of another size.
        """
        picture, path = self._pairs[index]
        module = pillow(str(path))
        try:
            with module.open(path) as image:
                if image.mode not in ("L", "P"):
                    raise ImageError(
                        f"{path}: has mode {image.mode}; expected 8 bits a pixel, grey or with a "
                        "palette, whose values are classes"
                    )
                labels = np.array(image)
            with module.open(picture) as image:
                width, height = image.size
        except OSError as error:
            raise ImageError(f"{path}: expected a label map: {error}") from error
        if labels.shape != (height, width):
            raise ImageError(
                f"{path}: has {labels.shape[0]} x {labels.shape[1]} pixels; expected {height} x "
                f"{width} as {picture}"
            )
        # 0 becomes 255.
        return labels - np.uint8(1) if self._less_one else labels


def open_pixel_labels(data: Any) -> PixelSamples | None:
    """Pictures with label maps; None for what is none.

    Args:
        data: VOC's folder (JPEGImages, SegmentationClass, ImageSets/Segmentation/val.txt); ADE20k's
            (images/validation, annotations/validation); two paths, (pictures, label maps), whose
            files have the same names but for their suffixes; or what has `image`, `labels`, `key`
            and a length.

    Raises:
        OSError, ValueError: no such files.
    """
    if all(hasattr(data, part) for part in ("image", "labels", "key", "__len__")):
        samples: PixelSamples = data
        return samples
    if isinstance(data, str | os.PathLike):
        return _known(Path(os.fsdecode(data)))
    if isinstance(data, tuple) and all(isinstance(part, str | os.PathLike) for part in data):
        if len(data) != 2:
            raise ValueError(f"data has {len(data)} paths; expected two, (pictures, label maps)")
        pictures, maps = (Path(os.fsdecode(part)) for part in data)
        return LabelledFiles(str(maps), _same_names(pictures, maps))
    return None


def _known(root: Path) -> LabelledFiles:
    split = root / "ImageSets" / "Segmentation" / "val.txt"
    if split.is_file():
        names = split.read_text(encoding="utf-8").split()
        pairs = [
            (root / "JPEGImages" / f"{name}.jpg", root / "SegmentationClass" / f"{name}.png")
            for name in names
        ]
        missing = next((path for pair in pairs for path in pair if not path.is_file()), None)
        if missing is not None:
            raise FileNotFoundError(f"{missing}: no such file, which {split} names")
        return LabelledFiles(str(root), pairs)
    pictures, maps = (root / part / "validation" for part in ("images", "annotations"))
    if pictures.is_dir() and maps.is_dir():
        return LabelledFiles(str(root), _same_names(pictures, maps), less_one=True)
    raise FileNotFoundError(
        f"{root}: found neither ImageSets/Segmentation/val.txt (VOC) nor images/validation and "
        "annotations/validation (ADE20k); expected one of them, or (pictures, label maps)"
    )


def _same_names(pictures: Path, maps: Path) -> list[tuple[Path, Path]]:
    for folder in (pictures, maps):
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder")
    found = sorted(path for path in pictures.iterdir() if is_image_file(path.name))
    pairs = [(path, maps / f"{path.stem}.png") for path in found]
    missing = next((path for _, path in pairs if not path.is_file()), None)
    if missing is not None:
        raise FileNotFoundError(f"{missing}: no such file; expected a label map of every picture")
    return pairs

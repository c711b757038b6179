"""Objects in pictures, as boxes with labels, and pictures that have them: what detectors learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mobileone.data.arrays import as_numpy
from mobileone.data.preprocessing import open_picture, pillow

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL import Image as PillowImage

__all__ = ["ObjectSamples", "Objects", "PicturesWithObjects", "as_objects"]


class Objects(NamedTuple):
    """The objects of one picture.

    Attributes:
        boxes: float64 [n, 4]: left, top, right, bottom, in the picture's pixels.
        labels: int64 [n], numbers of classes from 1 on; 0 is the background.
    """

    boxes: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]


class ObjectSamples(Protocol):
    """Pictures with objects, one by one.

    Attributes:
        class_names: what the classes are called, "background" first, if that is known.
    """

    class_names: tuple[str, ...] | None

    def __len__(self) -> int: ...

    def image(self, index: int) -> PillowImage.Image:
        """One picture, of mode RGB."""

    def objects(self, index: int) -> Objects:
        """Its objects."""


def as_objects(value: Any, name: str = "objects") -> Objects:
    """What somebody gives as the objects of a picture, checked.

    Args:
        value: (boxes [n, 4], labels [n]), or a mapping with "boxes" and "labels", as torchvision's
            detectors take it.
        name: of the picture, for messages.

    Raises:
        ValueError: other shapes, a label below 1, or a box without an area.
        TypeError: neither of the two.
    """
    if isinstance(value, Mapping):
        missing = [part for part in ("boxes", "labels") if part not in value]
        if missing:
            raise ValueError(f"{name} has no {missing[0]!r}; expected boxes and labels")
        value = (value["boxes"], value["labels"])
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(f"{name} is a {type(value).__name__}; expected (boxes, labels)")
    boxes, labels = as_numpy(value[0]), as_numpy(value[1])
    if boxes.size == 0 and labels.size == 0:
        boxes, labels = np.zeros((0, 4)), np.zeros(0, np.int64)
    if boxes.ndim != 2 or boxes.shape[1] != 4 or labels.shape != boxes.shape[:1]:
        raise ValueError(
            f"{name} has boxes of shape {boxes.shape} and labels of shape {labels.shape}; "
            "expected (n, 4) and (n,)"
        )
    if labels.dtype.kind not in "iu" or (labels.size and int(labels.min()) < 1):
        found = labels.dtype if labels.dtype.kind not in "iu" else int(labels.min())
        raise ValueError(f"{name} has labels {found}; expected numbers of classes from 1 on")
    boxes = boxes.astype(np.float64)
    flat = ~((boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    flat |= ~np.isfinite(boxes).all(1)
    if flat.any():
        raise ValueError(
            f"{name} has the box {boxes[flat][0].tolist()}; expected left, top, right, bottom "
            "with left < right and top < bottom"
        )
    return Objects(boxes, labels.astype(np.int64))


class PicturesWithObjects:
    """Pictures in memory or by path, each with its objects.

    Args:
        images: uint8 RGB [N, H, W, 3], or a list of whatever one picture can be.
        objects: of each picture, as `as_objects` takes them.
        class_names: "background" first.

    Raises:
        ValueError: another number of pictures than of objects, or objects that are none.
    """

    def __init__(
        self, images: Any, objects: Sequence[Any], class_names: tuple[str, ...] | None = None
    ) -> None:
        self._images = images
        if len(images) != len(objects):
            raise ValueError(
                f"there are {len(images)} images and objects of {len(objects)}; expected as many"
            )
        self._objects = [as_objects(one, f"objects[{i}]") for i, one in enumerate(objects)]
        self.class_names = class_names

    def __len__(self) -> int:
        return len(self._objects)

    def image(self, index: int) -> PillowImage.Image:
        """One picture, of mode RGB."""
        given = self._images[index]
        if isinstance(given, np.ndarray):
            picture: PillowImage.Image = pillow("images").fromarray(np.ascontiguousarray(given))
            return picture.convert("RGB")
        return open_picture(given, "RGB")

    def objects(self, index: int) -> Objects:
        """Its objects."""
        return self._objects[index]

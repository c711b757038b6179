"""Segmentation: the class of every pixel of a picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import label_map
from mobileone.data.arrays import is_several
from mobileone.data.overlay import draw_label_map
from mobileone.data.whole import kept_size, open_pixels, resized_input, single_images
from mobileone.tasks.results.drawn import DrawnResult
from mobileone.tasks.segmentation.labels import pixel_class_names, pixel_palette
from mobileone.util.checks import height_and_width
from mobileone.util.tables import Column, Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.pixels import Pixels
    from mobileone.network.bundle import Bundle

__all__ = ["Segmentation", "segment"]

_COLUMNS = (Column("class"), Column("name", "left"), Column("share of pixels"))


@dataclass(frozen=True, repr=False)
class Segmentation(DrawnResult):
    """The class of every pixel of a picture.

    Attributes:
        labels: numbers of classes [H, W], uint8, or uint16 of more than 256 classes.
        class_names: what the classes are called.
        pixels: the picture, uint8 RGB [H, W, 3].
    """

    labels: npt.NDArray[Any]
    class_names: tuple[str, ...]
    pixels: Pixels = field(compare=False)

    def shares(self) -> dict[str, float]:
        """Name -> share of the pixels, of the classes that are there, largest first."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.class_names))
        order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i]]
        return {self.class_names[i]: float(counts[i] / self.labels.size) for i in order}

    def drawn(self, opacity: float = 0.6) -> Pixels:
        """The picture with the colour of each class over it, ADE20k's or VOC's, uint8 RGB
        [H, W, 3].
        """
        colours = pixel_palette(self.class_names)
        return draw_label_map(self.pixels, self.labels, colours, opacity)

    @property
    def table(self) -> Table:
        """A row for each class that is there."""
        rows = [
            (str(self.class_names.index(name)), name, f"{share:.1%}")
            for name, share in self.shares().items()
        ]
        height, width = self.labels.shape
        return Table(f"{height} x {width} pixels", _COLUMNS, rows, [])


def segment(
    bundle: Bundle,
    logits_of: Callable[[Any], Any],
    image: Any,
    size: int | tuple[int, int] | None = None,
) -> Segmentation | list[Segmentation]:
    """See `mobileone.Model.segment`; `logits_of` runs the network."""
    if bundle.task != "segmentation":
        raise ValueError(f"segment: {bundle.name} is {bundle.purpose}; see create_segmenter")
    names = pixel_class_names(bundle.num_classes, bundle.class_names)
    shortest = min(bundle.input_size) if size is None else size
    sides = height_and_width("size", shortest, bundle.family.min_size)
    corners = bool(bundle.family.value(bundle.config, "align_corners"))
    results = []
    for one in single_images(image):
        pixels = open_pixels(one)
        height, width = pixels.shape[:2]
        proportional = isinstance(shortest, int)
        chosen = kept_size(height, width, sides[0]) if proportional else sides
        logits = logits_of(resized_input(pixels, chosen, bundle.data_config))
        labels = label_map(logits[0], height, width, corners)
        results.append(Segmentation(labels, names, pixels))
    return results if is_several(image) else results[0]

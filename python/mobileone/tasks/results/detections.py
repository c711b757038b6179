"""Detections: the objects in a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mobileone.data.arrays import is_several
from mobileone.data.overlay import draw_boxes
from mobileone.data.whole import open_pixels, resized_input, single_images
from mobileone.families.heads.head import box_code
from mobileone.tasks.colours import class_colour
from mobileone.tasks.detection.boxes import boxes_of_maps
from mobileone.tasks.detection.labels import object_class_names
from mobileone.tasks.detection.rule import DetectionRule
from mobileone.tasks.results.drawn import DrawnResult
from mobileone.util.tables import Column, Table

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.pixels import Pixels
    from mobileone.network.bundle import Bundle

__all__ = ["Detected", "Detections", "detect"]

_SIDES = ("left", "top", "right", "bottom")
_COLUMNS = (Column("object", "left"), Column("score"), *map(Column, _SIDES))
# Pictures that run through the network together.
_CHUNK = 16


class Detected(NamedTuple):
    """One object.

    Attributes:
        name: of its class.
        score: its probability.
        box: left, top, right, bottom, in the picture's pixels.
    """

    name: str
    score: float
    box: tuple[float, float, float, float]


@dataclass(frozen=True, repr=False)
class Detections(DrawnResult):
    """The objects in a picture, most probable first. Iterating gives one `Detected` after another.

    Attributes:
        boxes: float64 [n, 4]: left, top, right, bottom, in the picture's pixels and inside of it.
        scores: float64 [n], probabilities.
        labels: int64 [n], numbers of classes; 0 is the background, which no object is.
        class_names: what the classes are called.
        pixels: the picture, uint8 RGB [H, W, 3].
    """

    boxes: npt.NDArray[np.float64]
    scores: npt.NDArray[np.float64]
    labels: npt.NDArray[np.int64]
    class_names: tuple[str, ...]
    pixels: Pixels = field(compare=False)

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detected]:
        rows = zip(self.labels, self.scores, self.boxes, strict=True)
        for label, score, box in rows:
            left, top, right, bottom = (float(side) for side in box)
            yield Detected(self.class_names[label], float(score), (left, top, right, bottom))

    def drawn(self) -> Pixels:
        """The picture with its boxes, uint8 RGB [H, W, 3]."""
        texts = [f"{one.name} {one.score:.2f}" for one in self]
        colours = [class_colour(int(label)) for label in self.labels]
        # The least probable first, so that better boxes lie on top.
        return draw_boxes(self.pixels, self.boxes[::-1], texts[::-1], colours[::-1])

    @property
    def table(self) -> Table:
        """A row for each object."""
        rows = [(o.name, f"{o.score:.3f}", *(f"{side:.1f}" for side in o.box)) for o in self]
        height, width = self.pixels.shape[:2]
        return Table(f"{len(self)} objects in {height} x {width} pixels", _COLUMNS, rows, [])


def detect(
    bundle: Bundle, maps_of: Callable[[Any], Any], image: Any, rule: DetectionRule
) -> Detections | list[Detections]:
    """See `mobileone.Model.detect`; `maps_of` runs the network."""
    if bundle.task != "detection":
        raise ValueError(f"detect: {bundle.name} is {bundle.purpose}; see create_detector")
    rule.check()
    names = object_class_names(bundle.num_classes, bundle.class_names)
    images, results = list(single_images(image)), []
    for start in range(0, len(images), _CHUNK):
        pictures = [open_pixels(one) for one in images[start : start + _CHUNK]]
        inputs = [resized_input(p, bundle.input_size, bundle.data_config) for p in pictures]
        maps = maps_of(np.concatenate(inputs))
        sizes = [(p.shape[0], p.shape[1]) for p in pictures]
        how = (rule, box_code(bundle), bundle.input_size)
        found = boxes_of_maps(maps, bundle.num_classes, sizes, *how)
        results += [Detections(*one, names, p) for one, p in zip(found, pictures, strict=True)]
    return results if is_several(image) else results[0]

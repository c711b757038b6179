"""What a network learns of a batch: labels, checked; or what its teachers say."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from mobileone.data.datasets.objects import Objects, as_objects
from mobileone.data.datasets.samples import check_labels
from mobileone.train.distillation import entropy, teachers_probabilities

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32

__all__ = ["ClassTargets", "ObjectTargets", "Targets", "Wanted"]


class Wanted(NamedTuple):
    """Of one batch.

    Attributes:
        targets: as the source of the gradients takes them.
        floor: the loss of a perfect network.
        smoothing: of labels.
    """

    targets: Any
    floor: float
    smoothing: float


class Targets(Protocol):
    """Checks what data give beside the images."""

    def __call__(self, x: Float32, targets: Any) -> Wanted:
        """Of images [N, C, H, W] and what came with them."""


class ClassTargets:
    """Class indices [N] or probabilities [N, num_classes]; teachers' probabilities instead.

    Args:
        num_classes: of the network.
        label_smoothing: of class indices.
        teachers: to learn from, instead of labels.
    """

    def __init__(
        self,
        num_classes: int,
        label_smoothing: float,
        teachers: Sequence[Callable[[Any], Any]] = (),
    ) -> None:
        self._num_classes, self._smoothing, self._teachers = num_classes, label_smoothing, teachers

    def __call__(self, x: Float32, targets: Any) -> Wanted:
        """See `Targets`."""
        if self._teachers:
            soft = teachers_probabilities(self._teachers, x, self._num_classes)
            return Wanted(soft, entropy(soft), 0.0)
        labels = check_labels(targets, len(x))
        if labels.ndim == 2:
            if labels.shape[1] != self._num_classes:
                raise ValueError(
                    f"labels has shape {labels.shape}; expected probabilities of "
                    f"{self._num_classes} classes"
                )
            return Wanted(labels, 0.0, 0.0)
        if labels.size and labels.max() >= self._num_classes:
            raise ValueError(
                f"labels has {labels.max()}; expected class indices below {self._num_classes}, the "
                "number of the model's classes"
            )
        return Wanted(labels, 0.0, self._smoothing)


class ObjectTargets:
    """Objects of each image, in its pixels, as `data.datasets.objects.as_objects` takes them.

    Args:
        num_classes: of the network, with the background.
        label_smoothing: of their classes.
    """

    def __init__(self, num_classes: int, label_smoothing: float) -> None:
        self._num_classes, self._smoothing = num_classes, label_smoothing

    def __call__(self, x: Float32, targets: Any) -> Wanted:
        """See `Targets`."""
        if not isinstance(targets, list | tuple) or len(targets) != len(x):
            found = len(targets) if hasattr(targets, "__len__") else type(targets).__name__
            raise ValueError(f"objects are of {found} images; expected a list, of {len(x)}")
        checked = [self._checked(i, o, x.shape[2:]) for i, o in enumerate(targets)]
        boxes = np.concatenate([objects.boxes for objects in checked])
        if boxes.size and boxes.max() <= 1 and boxes.min() >= 0:
            warnings.warn(
                "all boxes are within 0 to 1, as shares of the sides; expected pixels",
                stacklevel=2,
            )
        return Wanted(checked, 0.0, self._smoothing)

    def _checked(self, number: int, given: Any, size: tuple[int, ...]) -> Objects:
        objects = as_objects(given, f"objects of image {number}")
        outside = (objects.boxes[:, :2] >= size[::-1]).any(1) | (objects.boxes[:, 2:] <= 0).any(1)
        if outside.any():
            raise ValueError(
                f"objects of image {number} have the box {objects.boxes[outside][0].tolist()}, "
                f"outside of it; expected pixels of the {size[0]} x {size[1]} that the network sees"
            )
        if objects.labels.size and int(objects.labels.max()) >= self._num_classes:
            raise ValueError(
                f"objects of image {number} have label {objects.labels.max()}; expected numbers "
                f"below {self._num_classes}, the number of the model's classes"
            )
        return objects

"""ObjectLoader: batches of network input and objects, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.data.augmentation.geometry import crop_box
from mobileone.data.datasets.loader import Batch, batch_count, batch_indices, sample_random
from mobileone.data.datasets.objects import Objects
from mobileone.data.pixels import normalise
from mobileone.data.preprocessing import pillow

if TYPE_CHECKING:
    from PIL import Image as PillowImage

    from mobileone.data.augmentation.pipeline import Augmentation
    from mobileone.data.config import DataConfig
    from mobileone.data.datasets.objects import ObjectSamples

__all__ = ["ObjectLoader"]


class ObjectLoader:
    """Batches (images [N, C, H, W], a list of `Objects` in their pixels). Whole pictures are
    squeezed to the network's size, as for detection.

    Args:
        samples: pictures with objects.
        config: sizes, statistics and interpolation.
        batch_size: pictures per batch.
        augmentation: its crops and flips happen, also to the boxes: a cropped picture keeps the
            objects whose centres are inside, without their parts outside (Liu et al. 2016,
            section 2.2). None: neither.
        seed: of order and augmentation.
        training: whether pictures come in a random order, without those that fill no batch.

    Raises:
        ValueError: an augmentation that turns or recolours.
    """

    def __init__(
        self,
        samples: ObjectSamples,
        config: DataConfig,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        *,
        training: bool = False,
    ) -> None:
        for name in ("degrees", "translate", "scale", "shear", "auto_augment"):
            if augmentation is not None and getattr(augmentation, name):
                raise ValueError(
                    f"augmentation has {name} {getattr(augmentation, name)!r}; expected crops and "
                    "flips alone, which boxes follow"
                )
        self._samples, self._config, self._batch_size = samples, config, batch_size
        self._augmentation, self._seed, self._training = augmentation, seed, training

    def __len__(self) -> int:
        """Batches of an epoch."""
        return batch_count(len(self._samples), self._batch_size, training=self._training)

    def batches(
        self, epoch: int, size: tuple[int, int], strength: float = 1.0, start: int = 0
    ) -> Iterator[Batch]:
        """Those of an epoch, of that (height, width), from number `start` on."""
        shape = len(self._samples), self._batch_size
        for chosen in batch_indices(*shape, self._seed, epoch, start, training=self._training):
            pairs = [self._pair(int(index), epoch, size) for index in chosen]
            pixels = np.stack([image for image, _ in pairs]).transpose(0, 3, 1, 2)
            yield normalise(pixels, self._config), [objects for _, objects in pairs]

    def _pair(self, index: int, epoch: int, size: tuple[int, int]) -> tuple[Any, Objects]:
        image, objects = self._samples.image(index), self._samples.objects(index)
        rng = sample_random(self._seed, epoch, index)
        if self._augmentation is not None and self._augmentation.crop_scale is not None:
            how = (self._augmentation.crop_scale, self._augmentation.crop_ratio)
            image, objects = _cropped(image, objects, crop_box(image.size, *how, rng))
        mirrored = self._augmentation is not None and rng.random() < self._augmentation.flip
        scale = np.tile([size[1] / image.width, size[0] / image.height], 2)
        method = pillow("image").Resampling[self._config.interpolation.upper()]
        if image.size != (size[1], size[0]):
            image = image.resize((size[1], size[0]), method)
        pixels, boxes = np.asarray(image), objects.boxes * scale
        if mirrored:
            pixels = pixels[:, ::-1]
            boxes[:, [0, 2]] = size[1] - boxes[:, [2, 0]]
        return pixels, Objects(boxes, objects.labels)


def _cropped(
    image: PillowImage.Image, objects: Objects, box: tuple[int, int, int, int]
) -> tuple[PillowImage.Image, Objects]:
    left, top, width, height = box
    moved = objects.boxes - np.tile([left, top], 2)
    x, y = (moved[:, 0] + moved[:, 2]) / 2, (moved[:, 1] + moved[:, 3]) / 2
    inside = (x > 0) & (x < width) & (y > 0) & (y < height)
    boxes = np.clip(moved[inside], 0, np.tile([width, height], 2))
    cropped = image.crop((left, top, left + width, top + height))
    return cropped, Objects(boxes, objects.labels[inside])

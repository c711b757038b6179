"""Training of detectors: their loss in the place of cross entropy, and their data."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.data.arrays import as_images
from mobileone.data.datasets.object_loader import ObjectLoader
from mobileone.data.datasets.open_objects import open_objects
from mobileone.families.heads.head import box_code
from mobileone.network.session import Session
from mobileone.network.training_step import TrainingStep
from mobileone.tasks.detection.targets import anchor_targets, detector_loss
from mobileone.train.sources import Loaded, open_batches

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32
    from mobileone.data.augmentation.pipeline import Augmentation
    from mobileone.data.config import DataConfig
    from mobileone.network.bundle import Bundle
    from mobileone.train.recipe import Recipe
    from mobileone.train.sources import Source
    from mobileone.train.targets import Targets

__all__ = ["DetectorStep", "detector_validation", "open_detection_sources"]


class DetectorStep(TrainingStep):
    """Computes the gradients of a detector's loss (`tasks.detection.targets`) in train mode."""

    outer_loss = True

    def loss_and_gradients(
        self, x: Any, targets: Any, *, label_smoothing: float = 0.0
    ) -> tuple[float, dict[str, Float32]]:
        """The loss of a batch, and its gradient for every trainable weight.

        Args:
            x: images [N, C, H, W], as `Model.__call__` takes them.
            targets: the `Objects` of each image, in its pixels.
            label_smoothing: of their classes.

        Raises:
            ValueError, TypeError: as `TrainingStep`.
        """
        bundle = self._bundle
        images = as_images(x, bundle.in_channels, bundle.data_config, bundle.family.min_size)
        shapes = bundle.output_shapes(images.shape)
        maps = {name: np.empty(shape, np.float32) for name, shape in shapes.items()}
        code, size = box_code(bundle), (images.shape[2], images.shape[3])
        wanted = anchor_targets(targets, size, maps, bundle.num_classes, code)

        def loss() -> tuple[float, list[Float32]]:
            return detector_loss(maps, wanted, bundle.num_classes, label_smoothing, code)

        return self._run(images, list(maps.values()), loss=loss)

    def _wanted(self) -> tuple[str, ...]:
        return tuple(self._network.graph.outputs.values())


def detector_validation(bundle: Bundle, source: Source, targets: Targets) -> tuple[float, None]:
    """The mean loss of images that were not learned from, in eval mode and inference form.

    Raises:
        ValueError: no images, or objects that do not fit.
    """
    session = Session(bundle.reparameterized())
    total, count = 0.0, 0
    for x, given in source.batches(0, bundle.input_size, 0.0):
        images = session.images(x)
        maps = session.evaluated(images)
        size, code = (images.shape[2], images.shape[3]), box_code(bundle)
        objects = targets(images, given).targets
        wanted = anchor_targets(objects, size, maps, bundle.num_classes, code)
        loss, _ = detector_loss(maps, wanted, bundle.num_classes, 0.0, code)
        total += loss * len(images)
        count += len(images)
    if not count:
        raise ValueError("validation gave no images; expected some")
    return total / count, None


def open_detection_sources(
    data: Any, validation: Any, config: DataConfig, recipe: Recipe
) -> tuple[Source, Source | None]:
    """The sources of what `Trainer.fit` takes for detectors; see there."""
    training = _open(data, "data", config, recipe, recipe.augmentation)
    return training, None if validation is None else _open(
        validation, "validation", config, recipe, None
    )


def _open(
    data: Any, name: str, config: DataConfig, recipe: Recipe, augmentation: Augmentation | None
) -> Source:
    samples = open_objects(data)
    if samples is not None:
        how = (config, recipe.batch_size, augmentation, recipe.seed)
        return Loaded(ObjectLoader(samples, *how, training=name == "data"), samples.class_names)
    if callable(data) or isinstance(data, Iterable):
        return open_batches(data, name)
    raise TypeError(
        f"{name} is a {type(data).__name__}; expected (images, objects), (COCO's annotations, "
        "folder), COCO's folder, or an iterable of (images, objects) batches"
    )

"""Loader: batches of network input from labelled images, the same for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.data.pixels import normalise
from mobileone.data.preprocessing import resize_and_crop

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.augmentation.pipeline import Augmentation
    from mobileone.data.config import DataConfig
    from mobileone.data.datasets.samples import Samples

__all__ = [
    "Batch", "Loader", "batch_count", "batch_indices", "epoch_order", "sample_random",
    "training_order",
]  # fmt: skip

Batch = tuple[Any, Any]  # images [N, C, H, W], labels [N] or probabilities [N, K]
# Streams of random numbers of an epoch: its order; the augmentation of each image.
_ORDER, _IMAGE = 0, 1


class Loader:
    """Batches of images, normalised as a network expects them.

    What happens to an image depends on the seed, the epoch and its index alone: not on the batch
    size, nor on where an epoch is taken up again.

    Args:
        samples: labelled images.
        config: sizes, statistics and interpolation.
        batch_size: images per batch.
        augmentation: what happens to images; None: resized and cropped as `config` says.
        seed: of order and augmentation.
        training: whether images come in a random order, without those that fill no batch.
    """

    def __init__(
        self,
        samples: Samples,
        config: DataConfig,
        batch_size: int,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        *,
        training: bool = False,
    ) -> None:
        self.samples = samples
        self.config = config
        self.batch_size = batch_size
        self.augmentation = augmentation
        self.seed = seed
        self.training = training

    def __len__(self) -> int:
        """Batches of an epoch."""
        return batch_count(len(self.samples.labels), self.batch_size, training=self.training)

    def batches(
        self,
        epoch: int = 0,
        size: tuple[int, int] | None = None,
        strength: float = 1.0,
        start: int = 0,
    ) -> Iterator[Batch]:
        """The batches of an epoch.

        Args:
            epoch: from 0; says order and augmentation.
            size: (height, width) of the images; default: `config.input_size`.
            strength: of the augmentation, 0 to 1.
            start: number of the first batch that is wanted.
        """
        shape = len(self.samples.labels), self.batch_size
        for chosen in batch_indices(*shape, self.seed, epoch, start, training=self.training):
            images = [self._pixels(int(i), epoch, size, strength) for i in chosen]
            pixels = np.stack(images).transpose(0, 3, 1, 2)
            yield normalise(pixels, self.config), self.samples.labels[chosen]

    def _pixels(
        self, index: int, epoch: int, size: tuple[int, int] | None, strength: float
    ) -> npt.NDArray[np.uint8]:
        image = self.samples.image(index)
        image = image.convert("L" if len(self.config.mean) == 1 else "RGB")
        config = self.config if size is None else replace(self.config, input_size=size)
        if self.augmentation is None:
            image = resize_and_crop(image, config)
        else:
            rng = sample_random(self.seed, epoch, index)
            how = {"strength": strength, "interpolation": config.interpolation}
            image = self.augmentation(image, config.input_size, rng, **how)  # type: ignore[arg-type]
        pixels = np.asarray(image)
        return pixels[:, :, None] if pixels.ndim == 2 else pixels


def batch_count(count: int, batch_size: int, *, training: bool) -> int:
    """How many batches `batch_indices` gives of an epoch from its start."""
    whole = count // batch_size
    return whole if training and whole else -(-count // batch_size)


def batch_indices(
    count: int, batch_size: int, seed: int, epoch: int, start: int = 0, *, training: bool
) -> Iterator[npt.NDArray[np.intp]]:
    """Which of `count` samples each batch of an epoch holds, from batch number `start` on: in
    `training_order`, or all as they are.
    """
    order = training_order(count, batch_size, seed, epoch) if training else np.arange(count)
    for first in range(start * batch_size, len(order), batch_size):
        yield order[first : first + batch_size]


def sample_random(seed: int, epoch: int, index: int) -> np.random.Generator:
    """What is random about a sample in an epoch."""
    seeds = np.random.SeedSequence((seed, epoch, _IMAGE, index))
    return np.random.Generator(np.random.PCG64(seeds))


def epoch_order(count: int, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """A random order of `count` samples, of that seed and epoch."""
    # NumPy keeps the streams of bit generators, but not those of permutations.
    bits = np.random.PCG64(np.random.SeedSequence((seed, epoch, _ORDER))).random_raw(count)
    return np.argsort(bits, kind="stable")


def training_order(count: int, batch_size: int, seed: int, epoch: int) -> npt.NDArray[np.intp]:
    """`epoch_order` without the samples at its end that fill no batch, if one is full.

    Statistics of a few images are worse than none: others are left out in other epochs.
    """
    order = epoch_order(count, seed, epoch)
    return order[: count // batch_size * batch_size] if count >= batch_size else order

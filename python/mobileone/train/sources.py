"""What a trainer can be given to learn from, as batches by epoch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sized
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from mobileone.data.arrays import as_numpy
from mobileone.data.datasets.digits import BUILT_IN, split_digits
from mobileone.data.datasets.folder import FolderSamples
from mobileone.data.datasets.loader import Batch, Loader, batch_count, batch_indices
from mobileone.data.datasets.samples import ArraySamples, check_labels
from mobileone.train.ahead import ahead

if TYPE_CHECKING:
    from mobileone.data.augmentation.pipeline import Augmentation
    from mobileone.data.config import DataConfig
    from mobileone.data.datasets.object_loader import ObjectLoader
    from mobileone.train.recipe import Recipe

__all__ = ["Loaded", "Source", "open_batches", "open_sources"]

Size = tuple[int, int]


class Source(Protocol):
    """Batches by epoch.

    Attributes:
        class_names: what the classes are called, if that is known.
    """

    class_names: tuple[str, ...] | None

    def steps(self, epoch: int) -> int | None:
        """Batches of that epoch; None if nobody knows."""

    def batches(self, epoch: int, size: Size, strength: float, start: int = 0) -> Iterator[Batch]:
        """Those of that epoch from number `start` on."""


def open_sources(
    data: Any,
    validation: Any,
    config: DataConfig,
    recipe: Recipe,
    known: tuple[str, ...] | None = None,
) -> tuple[Source, Source | None]:
    """The sources of what `Trainer.fit` takes; see there. `known`: what the network's classes are
    called, in whose order a folder's are where it has the same.
    """
    if isinstance(data, str) and data in BUILT_IN:
        data, held_out = split_digits(BUILT_IN[data])
        validation = held_out if validation is None else validation
    training = _open(data, "data", config, recipe, recipe.augmentation, known)
    if validation is None:
        return training, None
    return training, _open(validation, "validation", config, recipe, None, training.class_names)


def _open(
    data: Any,
    name: str,
    config: DataConfig,
    recipe: Recipe,
    augmentation: Augmentation | None,
    class_names: tuple[str, ...] | None,
) -> Source:
    training = name == "data"
    if isinstance(data, str | os.PathLike):
        order = {"order": class_names} if training else {"class_names": class_names}
        data = FolderSamples(data, **order)
    elif isinstance(data, tuple) and len(data) == 2 and not callable(data):
        images, labels = as_numpy(data[0]), data[1]
        if images.dtype.kind == "f":
            return _Floats(images, check_labels(labels, len(images)), recipe, shuffle=training)
        _check_channels(name, config)
        data = ArraySamples(images, labels)
    if hasattr(data, "image") and hasattr(data, "labels"):
        _check_channels(name, config)
        how = (config, recipe.batch_size, augmentation, recipe.seed)
        return Loaded(Loader(data, *how, training=training), data.class_names)
    if callable(data) or isinstance(data, Iterable):
        return open_batches(data, name)
    raise TypeError(
        f"{name} is a {type(data).__name__}; expected (images, labels), a folder, one of "
        f"{', '.join(map(repr, BUILT_IN))}, or an iterable of (images, labels) batches"
    )


def _check_channels(name: str, config: DataConfig) -> None:
    """ValueError where a network reads no pictures."""
    channels = len(config.mean)
    if channels not in (1, 3):
        raise ValueError(
            f"{name} are pictures, of 1 or 3 channels; the model reads {channels}: expected "
            f"normalised floating-point images [N, {channels}, H, W], or batches of them"
        )


def open_batches(data: Any, name: str) -> Source:
    """The source of somebody else's batches: a function that gives those of an epoch, or an
    iterable of them.
    """
    return _Made(data) if callable(data) else _Batches(data, name)


class Loaded:
    """What a loader makes of pictures, some batches ahead.

    Args:
        loader: with the length and the batches of an epoch, as `Loader` has them.
        class_names: see `Source`.
    """

    def __init__(self, loader: Loader | ObjectLoader, class_names: tuple[str, ...] | None) -> None:
        self.class_names, self._loader = class_names, loader

    def steps(self, epoch: int) -> int | None:
        """See `Source`."""
        return len(self._loader)

    def batches(self, epoch: int, size: Size, strength: float, start: int = 0) -> Iterator[Batch]:
        """See `Source`."""
        return ahead(self._loader.batches(epoch, size, strength, start))


class _Floats:
    """Arrays of network input, which are taken as they are."""

    class_names: tuple[str, ...] | None = None

    def __init__(self, images: Any, labels: Any, recipe: Recipe, *, shuffle: bool) -> None:
        self._images, self._labels = images, labels
        self._batch_size, self._seed, self._shuffle = recipe.batch_size, recipe.seed, shuffle

    def steps(self, epoch: int) -> int | None:
        return batch_count(len(self._labels), self._batch_size, training=self._shuffle)

    def batches(self, epoch: int, size: Size, strength: float, start: int = 0) -> Iterator[Batch]:
        shape = len(self._labels), self._batch_size
        for chosen in batch_indices(*shape, self._seed, epoch, start, training=self._shuffle):
            yield self._images[chosen], self._labels[chosen]


class _Batches:
    """Somebody else's batches: a torch DataLoader, a list of pairs, ..."""

    class_names: tuple[str, ...] | None = None

    def __init__(self, data: Iterable[Any], name: str) -> None:
        self._data, self._name = data, name
        if hasattr(data, "__next__"):  # iter() might draw random numbers
            raise TypeError(
                f"{name} is an iterator, which is used up after one epoch; expected something that "
                "can be iterated over again, or a function (epoch, size, strength) that makes one"
            )

    def steps(self, epoch: int) -> int | None:
        # A multi-scale sampler has another number of batches in every epoch.
        _set_epoch(self._data, epoch)
        return len(self._data) if isinstance(self._data, Sized) else None

    def batches(self, epoch: int, size: Size, strength: float, start: int = 0) -> Iterator[Batch]:
        _set_epoch(self._data, epoch)
        return islice(map(self._pair, self._data), start, None)

    def _pair(self, batch: Any) -> Batch:
        return _checked_pair(batch, self._name)


class _Made:
    """A function (epoch, size, strength) that gives the batches of an epoch."""

    class_names: tuple[str, ...] | None = None

    def __init__(self, make: Callable[[int, Size, float], Iterable[Any]]) -> None:
        self._make = make
        self._latest: Any = None

    def steps(self, epoch: int) -> int | None:
        return None

    def batches(self, epoch: int, size: Size, strength: float, start: int = 0) -> Iterator[Batch]:
        made = self._make(epoch, size, strength)
        if not isinstance(made, Iterable):
            raise TypeError(f"data gave a {type(made).__name__} of an epoch; expected batches")
        return islice((_checked_pair(batch, "data") for batch in made), start, None)


def _checked_pair(batch: Any, name: str) -> Batch:
    if not isinstance(batch, list | tuple) or len(batch) != 2:
        found = f"{len(batch)} parts" if isinstance(batch, list | tuple) else type(batch).__name__
        raise ValueError(f"{name} gave a batch of {found}; expected (images, labels or objects)")
    return batch[0], batch[1]


def _set_epoch(data: Any, epoch: int) -> None:
    """Tells those who ask for it: torch's distributed samplers, `MultiScaleSampler`."""
    for one in (data, getattr(data, "batch_sampler", None), getattr(data, "sampler", None)):
        tell = getattr(one, "set_epoch", None)
        if tell is not None:
            tell(epoch)

"""Large sets of labelled pictures, as shards that can be read anywhere: what evaluation runs on.

A shard is small enough to send to another process or machine, which reads it by itself. What it
holds depends on the data alone: not on how many read it, nor in which order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from mobileone.data.arrays import as_numpy
from mobileone.data.datasets.samples import check_labels

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = [
    "SHARD_SIZE",
    "ArrayPictures",
    "FileRange",
    "IteratedPictures",
    "Label",
    "Picture",
    "PictureSet",
    "Shard",
]

# Pictures of a shard, where the data are not in shards of their own.
SHARD_SIZE = 512

# A class index, the name of a class, several indices any of which is right, or unknown.
Label: TypeAlias = "int | str | tuple[int, ...] | None"


class FileRange(NamedTuple):
    """A file inside another one: `size` bytes from `offset` on."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Its bytes."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            return file.read(self.size)


class Picture(NamedTuple):
    """One picture that has not been read yet.

    Attributes:
        key: its name in the data set; no other one has it.
        label: what it shows.
        source: a path, a FileRange, the bytes of a file, a PIL image, or an array: uint8 pixels or
            floating-point network input.
    """

    key: str
    label: Label
    source: Any


class Shard(Protocol):
    """Some pictures, in a fixed order. Pickles."""

    @property
    def name(self) -> str:
        """Unique in its data set, and fit for a file's name."""

    def pictures(self) -> Iterator[Picture]:
        """The pictures."""


class PictureSet(Protocol):
    """Pictures in shards.

    Attributes:
        name: for reports.
        count: how many there are, if that is known without reading them.
        class_names: of the labels that are names, those that occur, if that is known.
    """

    name: str
    count: int | None
    class_names: tuple[str, ...] | None

    def shards(self) -> Iterable[Shard]:
        """All of them, in the order of their pictures."""


@dataclass(frozen=True)
class HeldShard:
    """Pictures in memory."""

    name: str
    held: Sequence[Picture] = field(repr=False)

    def pictures(self) -> Iterator[Picture]:
        """The pictures."""
        return iter(self.held)


class ArrayPictures:
    """Images in memory: uint8 pixels or floating-point network input, with their labels.

    Args:
        images: [N, ...], every item as `mobileone.Model.preprocess` takes one.
        labels: class indices [N].

    Raises:
        TypeError, ValueError: labels that are no class indices, or another number of them.
    """

    name = "arrays"
    class_names: tuple[str, ...] | None = None

    def __init__(self, images: Any, labels: Any) -> None:
        self._images = images if isinstance(images, list) else as_numpy(images)
        self.count: int | None = len(self._images)
        self._labels: npt.NDArray[Any] = check_labels(labels, len(self._images))
        if self._labels.ndim != 1:
            raise ValueError(
                f"labels has shape {self._labels.shape}; expected class indices ({self.count},)"
            )

    def shards(self) -> Iterator[Shard]:
        """All of them, in the order of their pictures."""
        for first in range(0, len(self._labels), SHARD_SIZE):
            labels = self._labels[first : first + SHARD_SIZE]
            images = self._images[first : first + SHARD_SIZE]
            pairs = zip(images, labels, strict=True)
            held = [Picture(str(first + i), int(y), x) for i, (x, y) in enumerate(pairs)]
            yield HeldShard(f"{first:09d}", held)


class IteratedPictures:
    """What an iterable gives: (image, label), (key, image, label), or batches (images, labels).

    A batch is what has an array of labels, as from a torch DataLoader: its images are
    network input, or pixels. Iterated over once.

    Args:
        items: the iterable.
        name: for reports.
    """

    class_names: tuple[str, ...] | None = None

    def __init__(self, items: Iterable[Any], name: str = "iterable") -> None:
        self.name = name
        self.count: int | None = None
        self._items = items

    def shards(self) -> Iterator[Shard]:
        """All of them, in the order of their pictures."""
        pictures = _numbered(self._items)
        first = 0
        while held := list(islice(pictures, SHARD_SIZE)):
            yield HeldShard(f"{first:09d}", held)
            first += len(held)


def _numbered(items: Iterable[Any]) -> Iterator[Picture]:
    number = 0
    for item in items:
        for key, image, label in _singles(item):
            yield Picture(str(number) if key is None else str(key), label, image)
            number += 1


def _singles(item: Any) -> Iterable[tuple[Any, Any, Label]]:
    if not isinstance(item, tuple | list) or len(item) not in (2, 3):
        raise TypeError(
            f"data gave a {type(item).__name__}; expected (image, label), (key, image, label) or a "
            "batch (images, labels)"
        )
    key, image, label = (None, *item) if len(item) == 2 else item
    if isinstance(label, str | int | np.integer) or label is None:
        return [(key, image, label if isinstance(label, str) or label is None else int(label))]
    labels = as_numpy(label)
    if labels.ndim == 0:
        return [(key, image, int(labels))]
    images = image if isinstance(image, list) else as_numpy(image)
    checked = check_labels(labels, len(images))
    if checked.ndim != 1:
        raise ValueError(f"data gave labels of shape {checked.shape}; expected class indices")
    return [(None, x, int(y)) for x, y in zip(images, checked, strict=True)]

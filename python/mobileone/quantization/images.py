"""Images to calibrate on, and to judge the result by."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, NamedTuple

import numpy as np

from mobileone.data.arrays import Float32, as_images, as_numpy
from mobileone.evaluation.labels import resolve_classes
from mobileone.evaluation.open_data import open_data
from mobileone.network.bundle import Bundle

__all__ = ["Calibration", "Labelled", "labelled_images", "read_calibration"]

# A pixel this many times what all but one in a thousand stay below is no pixel.
_FAR_OUT = 8.0
_MOST = 99.9
# Ranges of fewer images are those of these images.
_FEW = 8


class Labelled(NamedTuple):
    """One network input [1, C, H, W], and the classes that are right: none where nobody says."""

    image: Float32
    right: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Images in memory.

    Attributes:
        images: [N, C, H, W].
        right: of each the right classes.
        notes: what was odd about them.
    """

    images: Float32
    right: list[tuple[int, ...]] = field(default_factory=list)
    notes: tuple[str, ...] = ()


def labelled_images(
    bundle: Bundle, data: Any, labels: Any, what: str, most: int | None = None
) -> Iterator[Labelled]:
    """The images of anything that `mobileone.quantize` takes, one by one.

    Args:
        bundle: whose inputs they become.
        data: see there.
        labels: see there.
        what: the argument, for messages.
        most: at most so many: spread over all, where their number is known, else the first.
    """
    found = _open(bundle, data, labels, what, most)
    return found if most is None else islice(found, most)


def _open(
    bundle: Bundle, data: Any, labels: Any, what: str, most: int | None
) -> Iterator[Labelled]:
    if labels is None and hasattr(data, "shape") and not hasattr(data, "shards"):
        array = as_numpy(data)
        if array.ndim == 4:
            array = array[_spread(len(array), most)]
        return (Labelled(x, ()) for x in _inputs(bundle, array, what))
    sets = isinstance(data, str | os.PathLike | tuple) or hasattr(data, "shards")
    if sets or labels is not None or hasattr(data, "image"):
        return _of_set(bundle, data, labels, most)
    if not isinstance(data, Iterable):
        raise TypeError(
            f"{what} is a {type(data).__name__}; expected images [N, C, H, W], an iterable of them "
            "or of (image, label), or a folder of pictures"
        )
    return _of_iterable(bundle, data, what)


def _of_set(bundle: Bundle, data: Any, labels: Any, most: int | None) -> Iterator[Labelled]:
    pictures, _ = open_data(data, labels)
    count = len(data.labels) if hasattr(data, "labels") else pictures.count
    chosen = None if count is None else set(_spread(count, most))
    classes = resolve_classes(
        pictures.class_names, bundle.num_classes or None, bundle.class_names, pictures.name
    )
    every = chain.from_iterable(shard.pictures() for shard in pictures.shards())
    for number, picture in enumerate(every):
        if chosen is None or number in chosen:
            right = classes.indices(picture.label, picture.key)
            yield Labelled(_input(bundle, picture.source, picture.key), right)


def _of_iterable(bundle: Bundle, data: Iterable[Any], what: str) -> Iterator[Labelled]:
    for item in data:
        if isinstance(item, tuple | list) and len(item) == 2:
            images = list(_inputs(bundle, item[0], what))
            right = np.atleast_1d(as_numpy(item[1]))
            if len(right) != len(images) or right.dtype.kind not in "iu":
                raise ValueError(
                    f"{what} gave {len(images)} images with labels {right!r}; expected as many "
                    "class indices"
                )
            if right.size and not 0 <= right.min() <= right.max() < (
                bundle.num_classes or math.inf
            ):
                raise ValueError(
                    f"{what} gave the labels {right.tolist()}; expected class indices from 0 to "
                    f"{bundle.num_classes - 1}"
                )
            for x, y in zip(images, right, strict=True):
                yield Labelled(x, (int(y),))
        else:
            for x in _inputs(bundle, item, what):
                yield Labelled(x, ())


def _inputs(bundle: Bundle, images: Any, what: str) -> Iterator[Float32]:
    """Each image of an array, or the one of anything else, as network input."""
    if getattr(images, "ndim", 0) == 4:
        for image in as_numpy(images):
            yield _input(bundle, image, what)
    else:
        yield _input(bundle, images, what)


def _input(bundle: Bundle, image: Any, what: str) -> Float32:
    try:
        if hasattr(image, "shape") and (array := as_numpy(image)).dtype.kind == "f":
            single = array[None] if array.ndim == 3 else array
            return as_images(single, bundle.in_channels, min_size=bundle.family.min_size)
        return bundle.preprocess(image, stacklevel=4)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}: {error}") from error


def read_calibration(bundle: Bundle, data: Any, labels: Any, most: int) -> Calibration:
    """At most so many images, checked.

    Raises:
        ValueError: no images, images of several sizes, or values that are not finite.
    """
    found = list(labelled_images(bundle, data, labels, "calibration", most))
    if not found:
        raise ValueError("calibration has no images; expected at least one")
    sizes = {item.image.shape for item in found}
    if len(sizes) > 1:
        raise ValueError(f"calibration has images of shapes {sorted(sizes)}; expected one size")
    images = np.concatenate([item.image for item in found])
    for i, image in enumerate(images):
        if not np.isfinite(image).all():
            raise ValueError(
                f"calibration: image {i} has values that are not finite; expected numbers"
            )
    images, notes = _checked(images)
    return Calibration(images, [item.right for item in found], notes)


def _spread(count: int, most: int | None) -> list[int]:
    """At most so many indices, evenly over all."""
    taken = count if most is None else min(count, most)
    return [i * count // taken for i in range(taken)]


def _checked(images: Float32) -> tuple[Float32, tuple[str, ...]]:
    """The images without pixels that are none, and a warning for everything odd."""
    notes = []
    magnitudes = np.abs(images)
    typical = float(np.percentile(magnitudes, _MOST))
    far = magnitudes > _FAR_OUT * typical
    if typical > 0 and far.any():
        limit = float(magnitudes[~far].max())
        where = np.flatnonzero(far.reshape(len(images), -1).any(1))
        notes.append(
            f"image {', '.join(map(str, where[:5].tolist()))} has values up to "
            f"{magnitudes.max():.3g}, where {_MOST} % of all are below {typical:.3g}; "
            f"clipped to {limit:.3g}"
        )
        images = np.clip(images, -limit, limit)
    if (images == images[:, :, :1, :1]).all():
        notes.append("every image is one colour: ranges will be those of flat images")
    if len(images) < _FEW:
        notes.append(f"{len(images)} images: ranges are those of these; 100 and more are better")
    for note in notes:
        warnings.warn(f"calibration: {note}", stacklevel=4)
    return images, tuple(notes)

"""From shards to records, batch by batch: what every way of running an evaluation does."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from mobileone.data.datasets.shards import Picture, Shard
from mobileone.data.pixels import normalise
from mobileone.data.preprocessing import ImageError, preprocess
from mobileone.evaluation.labels import Classes
from mobileone.evaluation.records import Records, ShardResult, identity, measure
from mobileone.evaluation.subjects import Run, Subject
from mobileone.evaluation.views import Decoding, decode_all, is_array, is_encoded

__all__ = [
    "Batch",
    "Load",
    "Plan",
    "decode_batch",
    "finish_batch",
    "infer",
    "open_shard",
    "run_batch",
    "run_shard",
    "shard_identity",
]


@dataclass(frozen=True)
class Plan:
    """What happens to every picture. Everything but the subjects pickles.

    Attributes:
        subjects: the models.
        views: for each of these, the index of its config in `decoding`.
        decoding: how files become pixels.
        classes: what labels mean.
        batch_size: pictures that are computed together: always from one shard, in its order.
        stop: whether a picture that cannot be read ends it all.
    """

    subjects: tuple[Subject, ...]
    views: tuple[int, ...]
    decoding: Decoding
    classes: Classes
    batch_size: int
    stop: bool
    runs: tuple[Run, ...] = ()

    def __post_init__(self) -> None:
        made = tuple(subject.make_run(self.batch_size) for subject in self.subjects)
        object.__setattr__(self, "runs", made)


@dataclass
class Load:
    """Pictures that are done, and those of an evaluation before among them; seconds on either side,
    summed over its processes or threads.
    """

    decoding_s: float = 0.0
    inference_s: float = 0.0
    pictures: int = 0
    resumed: int = 0


@dataclass
class Batch:
    """Pictures of a shard that are computed together.

    Attributes:
        rows: their indices in the shard.
        pictures: which have not been read yet.
        labels: the right classes of each.
    """

    rows: npt.NDArray[np.intp]
    pictures: list[Picture]
    labels: list[tuple[int, ...]]
    errors: dict[int, str] = field(default_factory=dict)
    rotated: int = 0

    @property
    def encoded(self) -> bool:
        """Whether all of it can be decoded elsewhere."""
        return all(is_encoded(picture.source) for picture in self.pictures)


def shard_identity(shard: Shard, classes: Classes) -> str:
    """Of the pictures of a shard and their labels, as in its result."""
    pictures, labels = _labelled(shard, classes)
    return identity([picture.key for picture in pictures], labels)


def _labelled(shard: Shard, classes: Classes) -> tuple[list[Picture], list[tuple[int, ...]]]:
    """The pictures of a shard, and the right classes of each."""
    pictures = list(shard.pictures())
    return pictures, [classes.indices(picture.label, picture.key) for picture in pictures]


def open_shard(shard: Shard, plan: Plan) -> tuple[ShardResult, list[Batch]]:
    """The result of a shard, still empty, and its batches."""
    pictures, labels = _labelled(shard, plan.classes)
    keys = [picture.key for picture in pictures]
    count = len(pictures)
    result = ShardResult(
        shard.name,
        identity(keys, labels),
        keys,
        np.array([label[0] if label else -1 for label in labels], np.int32),
        np.zeros(count, np.bool_),
        records=[Records.empty(count) for _ in plan.subjects],
    )
    starts = range(0, count, plan.batch_size)
    batches = [
        Batch(
            np.arange(first, min(first + plan.batch_size, count)),
            pictures[first : first + plan.batch_size],
            labels[first : first + plan.batch_size],
        )
        for first in starts
    ]
    return result, batches


def decode_batch(batch: Batch, plan: Plan, out: Sequence[npt.NDArray[np.uint8]]) -> None:
    """Pixels of its pictures into `out`; what cannot be read is black, and noted."""
    sources = [picture.source for picture in batch.pictures]
    batch.errors, batch.rotated = decode_all(sources, plan.decoding, out)


def infer(batch: Batch, plan: Plan, out: Sequence[npt.NDArray[np.uint8]] | None) -> list[Records]:
    """Records of a batch by model.

    Args:
        out: its pixels by config; None: these are not decoded yet, and some are arrays.
    """
    images: dict[int, npt.NDArray[np.float32]] = {}
    found = []
    for subject, run, view in zip(plan.subjects, plan.runs, plan.views, strict=True):
        if view not in images:
            images[view] = _images(batch, plan, view, out)
        logits = run(images[view])
        count = plan.classes.count
        if count is not None and logits.shape[1] != count:
            raise ValueError(
                f"{subject.name}: gave {logits.shape[1]} logits; expected {count}, the number of "
                "classes"
            )
        found.append(measure(logits, batch.labels, plan.classes))
    return found


def _images(
    batch: Batch, plan: Plan, view: int, out: Sequence[npt.NDArray[np.uint8]] | None
) -> npt.NDArray[np.float32]:
    config = plan.decoding.configs[view]
    if out is not None:
        return normalise(out[view][: len(batch.rows)].transpose(0, 3, 1, 2), config)
    least = max(subject.min_size for subject in plan.subjects)
    one = replace(plan.decoding, configs=(config,))
    parts = []
    for row, picture in enumerate(batch.pictures):
        if is_array(picture.source):
            parts.append(preprocess(picture.source, config, min_size=least))
            continue
        pixels = np.empty(one.shapes(1)[0], np.uint8)
        errors, rotated = decode_all([picture.source], one, [pixels])
        if errors:
            batch.errors[row] = errors[0]
        batch.rotated += rotated if view == 0 else 0
        parts.append(normalise(pixels.transpose(0, 3, 1, 2), config))
    sizes = {part.shape[1:] for part in parts}
    if len(sizes) > 1:
        raise ValueError(f"data has network inputs of shapes {sorted(sizes)}; expected one")
    return np.concatenate(parts)


def finish_batch(result: ShardResult, batch: Batch, records: Sequence[Records], plan: Plan) -> None:
    """Adds a batch to the result of its shard; ImageError if it is to stop at the first one."""
    good = np.array([row not in batch.errors for row in range(len(batch.rows))], np.bool_)
    if plan.stop and batch.errors:
        row, text = next(iter(batch.errors.items()))
        raise ImageError(f"{batch.pictures[row].key}: {text}")
    rows = batch.rows[good]
    result.read[rows] = True
    result.rotated += batch.rotated
    result.errors |= {int(batch.rows[row]): text for row, text in batch.errors.items()}
    for own, new in zip(result.records, records, strict=True):
        own.put(rows, new.at(good))


def run_shard(shard: Shard, plan: Plan, load: Load | None = None) -> ShardResult:
    """One shard in this thread, batch after batch: what all others give, too, bit by bit."""
    load = Load() if load is None else load
    result, batches = open_shard(shard, plan)
    out = [np.empty(shape, np.uint8) for shape in plan.decoding.shapes(plan.batch_size)]
    for batch in batches:
        run_batch(result, batch, plan, out, load)
    return result


def run_batch(
    result: ShardResult,
    batch: Batch,
    plan: Plan,
    out: Sequence[npt.NDArray[np.uint8]],
    load: Load,
) -> None:
    """One batch in this thread."""
    start = time.perf_counter()
    arrays = any(is_array(picture.source) for picture in batch.pictures)
    if not arrays:
        decode_batch(batch, plan, out)
    decoded = time.perf_counter()
    finish_batch(result, batch, infer(batch, plan, None if arrays else out), plan)
    load.decoding_s += decoded - start
    load.inference_s += time.perf_counter() - decoded
    load.pictures += len(batch.rows)

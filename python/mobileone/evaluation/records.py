"""What is kept of every picture, shard by shard: enough for every figure, in 41 bytes a model."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.evaluation.labels import Classes
from mobileone.tasks.classification.metrics import log_softmax, ranks
from mobileone.util.files import whole_file

__all__ = ["TOP", "Records", "ShardResult", "identity", "load_shard", "measure", "save_shard"]

# Most probable classes that are kept.
TOP = 5


@dataclass
class Records:
    """What one model says of the pictures of a shard. Of pictures that were not read: zeros.

    Attributes:
        top: the most probable classes [N, TOP], most probable first; -1 where there are fewer.
        rank: how many classes come before the best of the right ones [N]; -1 without a label.
        nll: minus the logarithm of the probability of the right classes together [N]; NaN without.
        confidence: the probability of the most probable class [N].
        finite: whether all logits are finite [N]; where not, rank is the number of classes.
    """

    top: npt.NDArray[np.int32]
    rank: npt.NDArray[np.int32]
    nll: npt.NDArray[np.float64]
    confidence: npt.NDArray[np.float64]
    finite: npt.NDArray[np.bool_]

    @classmethod
    def empty(cls, count: int) -> Records:
        """Of `count` pictures that were not read."""
        return cls(
            np.full((count, TOP), -1, np.int32),
            np.full(count, -1, np.int32),
            np.full(count, np.nan),
            np.zeros(count),
            np.ones(count, np.bool_),
        )

    def at(self, rows: npt.NDArray[np.bool_]) -> Records:
        """Of some of the pictures."""
        return Records(**{name: values[rows] for name, values in vars(self).items()})

    def put(self, rows: npt.NDArray[np.intp], other: Records) -> None:
        """Set those rows."""
        for name, values in vars(other).items():
            getattr(self, name)[rows] = values


@dataclass
class ShardResult:
    """What came of a shard.

    Attributes:
        name: of the shard.
        identity: of its pictures and labels.
        keys: names of the pictures.
        labels: the first right class [N]; -1 where none is known.
        read: which pictures were read [N].
        errors: why not, by index.
        rotated: how many have an EXIF orientation that was not applied.
        records: by model.
    """

    name: str
    identity: str
    keys: list[str]
    labels: npt.NDArray[np.int32]
    read: npt.NDArray[np.bool_]
    errors: dict[int, str] = field(default_factory=dict)
    rotated: int = 0
    records: list[Records] = field(default_factory=list)


def identity(keys: Sequence[str], labels: Sequence[tuple[int, ...]]) -> str:
    """A digest of pictures' names and labels."""
    text = json.dumps([list(keys), [list(label) for label in labels]])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def measure(
    logits: npt.NDArray[np.float32], labels: Sequence[tuple[int, ...]], classes: Classes
) -> Records:
    """Records of logits [N, K]."""
    columns = classes.columns
    chosen = logits if columns is None else logits[:, columns]
    finite = np.asarray(np.all(np.isfinite(chosen), axis=1))
    clean = np.where(finite[:, None], chosen, 0)
    log_p = log_softmax(clean)
    best = np.argsort(-clean, axis=1, kind="stable")[:, :TOP]
    found = Records.empty(len(chosen))
    found.finite[:] = finite
    found.top[:, : best.shape[1]] = best if columns is None else columns[best]
    found.confidence[:] = np.exp(log_p.max(1))
    for row, right in enumerate(labels):
        if right:
            # A class index of the network, as one of the columns that count.
            own = np.asarray(right) if columns is None else np.searchsorted(columns, right)
            repeated = np.broadcast_to(clean[row], (len(own), clean.shape[1]))
            found.rank[row] = ranks(repeated, own).min()
            found.nll[row] = -np.logaddexp.reduce(log_p[row, own])
    found.top[~finite] = -1
    found.rank[~finite & (found.rank >= 0)] = chosen.shape[1]
    found.nll[~finite] = found.confidence[~finite] = np.nan
    return found


def save_shard(path: str | os.PathLike[str], result: ShardResult) -> None:
    """Write it, whole or not at all."""
    told = {"name": result.name, "identity": result.identity, "rotated": result.rotated}
    told |= {"keys": result.keys, "errors": {str(i): text for i, text in result.errors.items()}}
    arrays: dict[str, Any] = {"labels": result.labels, "read": result.read}
    for number, records in enumerate(result.records):
        arrays |= {f"{number}.{name}": values for name, values in vars(records).items()}
    content = io.BytesIO()
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    np.savez_compressed(content, told=text, **arrays)
    with whole_file(path) as file:
        file.write(content.getbuffer())


def load_shard(path: str | os.PathLike[str]) -> ShardResult:
    """The inverse of `save_shard`; ValueError naming the file for anything else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        told = json.loads(arrays.pop("told").tobytes())
        labels, read = arrays.pop("labels"), arrays.pop("read")
        numbers = sorted({int(name.partition(".")[0]) for name in arrays})
        records = [
            Records(**{name: arrays[f"{number}.{name}"] for name in Records.__annotations__})
            for number in numbers
        ]
        errors = {int(i): text for i, text in told.pop("errors").items()}
        return ShardResult(**told, labels=labels, read=read, errors=errors, records=records)
    except FileNotFoundError:
        raise
    except Exception as error:
        where = Path(path)
        raise ValueError(
            f"{where}: expected the results of a shard; {type(error).__name__}: {error}"
        ) from error

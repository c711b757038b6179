"""Pictures of any data set, corrupted as they are read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mobileone.data.corruption.corrupt import CORRUPTIONS
from mobileone.data.datasets.shards import Picture, PictureSet, Shard
from mobileone.evaluation.corruptions import SEVERITIES
from mobileone.evaluation.views import Corrupted

__all__ = ["CorruptedPictures"]


@dataclass(frozen=True)
class _CorruptedShard:
    """A shard under one corruption; its pictures are called corruption/severity/key."""

    name: str
    clean: Shard = field(repr=False)
    corruption: str
    severity: int
    seed: int

    def pictures(self) -> Iterator[Picture]:
        for key, label, source in self.clean.pictures():
            # Of the picture alone: whatever else there is, and whoever reads it.
            digest = hashlib.sha256(f"{self.seed}/{key}".encode("utf-8", "surrogatepass")).digest()
            seed = int.from_bytes(digest[:8], "little")
            corrupted = Corrupted(source, self.corruption, self.severity, seed)
            yield Picture(f"{self.corruption}/{self.severity}/{key}", label, corrupted)


class CorruptedPictures:
    """A data set under corruptions at severities, all of its pictures under each.

    Args:
        clean: the pictures, files all of them.
        corruptions: names of `CORRUPTIONS`; None: all 15.
        severities: 1 to 5.
        seed: of what is random; with the picture's name it says all of it.

    Raises:
        ValueError: an unknown corruption or severity.
    """

    def __init__(
        self,
        clean: PictureSet,
        corruptions: Sequence[str] | None = None,
        severities: Sequence[int] = SEVERITIES,
        seed: int = 0,
    ) -> None:
        names = list(CORRUPTIONS) if corruptions is None else list(corruptions)
        for name in names:
            if name not in CORRUPTIONS:
                known = ", ".join(CORRUPTIONS)
                raise ValueError(f"corruptions holds {name!r}; expected some of {known}")
        for severity in severities:
            if severity not in SEVERITIES:
                raise ValueError(f"severities holds {severity!r}; expected 1 to 5")
        self._kinds = [(name, severity) for name in names for severity in severities]
        self._clean, self._seed = clean, seed
        self.name = f"{clean.name}, corrupted"
        self.class_names = clean.class_names
        self.count = None if clean.count is None else clean.count * len(self._kinds)

    def shards(self) -> Iterator[Shard]:
        """All of them, corruption by corruption."""
        for name, severity in self._kinds:
            for shard in self._clean.shards():
                own = f"{name}-{severity}-{shard.name}"
                yield _CorruptedShard(own, shard, name, severity, self._seed)

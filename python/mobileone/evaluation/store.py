"""Results of shards on disk, from which an evaluation that was ended goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mobileone.evaluation.records import ShardResult, load_shard, save_shard
from mobileone.util.files import write_json

__all__ = ["Store"]

_SETUP = "evaluation.json"
_SCHEMA = "mobileone.evaluation-store/1"


class Store:
    """A folder with a file per shard, and one that says what they are results of.

    Args:
        folder: made if it is not there.
        setup: what the results depend on besides the pictures, as JSON values.

    Raises:
        ValueError: it holds results of something else, or is not such a folder.
    """

    def __init__(self, folder: str | os.PathLike[str], setup: dict[str, Any]) -> None:
        self.folder = Path(os.fsdecode(folder))
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / _SETUP
        expected = json.loads(json.dumps({"schema": _SCHEMA, **setup}))
        if path.exists():
            self._check(path, expected)
        elif any(self.folder.iterdir()):
            raise ValueError(f"{self.folder}: holds other files; expected a new or empty folder")
        else:
            write_json(path, expected)

    def _check(self, path: Path, expected: dict[str, Any]) -> None:
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{path}: expected JSON; {error}") from error
        found = found if isinstance(found, dict) else {}
        for key in expected:
            if found.get(key) != expected[key]:
                raise ValueError(
                    f"{self.folder}: holds results of another evaluation: {key} is "
                    f"{found.get(key)!r:.200}, now {expected[key]!r:.200}; expected a new folder"
                )

    def find(self, name: str) -> ShardResult | None:
        """What was found before of a shard of that name, be it of the same pictures or not."""
        path = self._path(name)
        return load_shard(path) if path.exists() else None

    def put(self, result: ShardResult) -> None:
        """Keep it."""
        save_shard(self._path(result.name), result)

    def results(self, names: Sequence[str]) -> StoredResults:
        """Those of shards, read again whenever they are iterated over."""
        return StoredResults(tuple(self._path(name) for name in names))

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


class StoredResults:
    """Results that stay on disk: memory holds one at a time."""

    def __init__(self, paths: tuple[Path, ...]) -> None:
        self._paths = paths

    def __iter__(self) -> Iterator[ShardResult]:
        return map(load_shard, self._paths)

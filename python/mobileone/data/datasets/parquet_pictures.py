"""Pictures in parquet files, as Hugging Face's datasets have them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mobileone.data.datasets.shards import Picture, Shard

__all__ = ["ParquetPictures"]

_LABELS = ("label", "labels", "fine_label", "cls", "class", "target")


@dataclass(frozen=True)
class _RowGroup:
    """Rows that a file holds together."""

    name: str
    path: str
    number: int
    first: int
    image: str
    label: str

    def pictures(self) -> Iterator[Picture]:
        table = _open(self.path).read_row_group(self.number, [self.image, self.label])
        images, labels = table.column(self.image), table.column(self.label)
        for row in range(len(table)):
            label, image = labels[row].as_py(), images[row].as_py()
            content = image.get("bytes") if isinstance(image, dict) else image
            key = f"{os.path.basename(self.path)}:{self.first + row}"
            # What is null is a picture that cannot be read.
            yield Picture(key, label, content or b"")


class ParquetPictures:
    """Files with a column of encoded images, struct<bytes, path> or binary, and one of labels.

    Labels are class indices, or names of classes.

    Args:
        paths: of the files; each of their row groups is a shard.
        label: the column of labels; None: the first of label, labels, fine_label, cls, class,
            target that there is.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: not a parquet file, or without such columns.
    """

    class_names: tuple[str, ...] | None = None

    def __init__(self, paths: Sequence[str], label: str | None = None) -> None:
        self.name = paths[0] if len(paths) == 1 else f"{len(paths)} files, {paths[0]} …"
        self._shards: list[Shard] = []
        self.count: int | None = 0
        for file, path in enumerate(paths):
            opened = _open(path)
            schema = opened.schema_arrow
            image, found = _image_column(schema, path), _label_column(schema, label, path)
            first = 0
            for group in range(opened.num_row_groups):
                name = f"{file:06d}-{group:06d}"
                self._shards.append(_RowGroup(name, path, group, first, image, found))
                first += opened.metadata.row_group(group).num_rows
            self.count += first

    def shards(self) -> Iterator[Shard]:
        """One per row group."""
        return iter(self._shards)


def _open(path: str) -> Any:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError as error:
        raise ImportError(f"{path}: needs pyarrow: pip install 'mobileone[parquet]'") from error
    try:
        return parquet.ParquetFile(path)
    except ArrowException as error:
        raise ValueError(f"{path}: expected a parquet file; {error}") from error


def _image_column(schema: Any, path: str) -> str:
    """The first column of encoded images; those that datasets says are images come first."""
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = told.get("info", {}).get("features", {})
    images = [name for name, f in features.items() if f.get("_type") == "Image"]
    for field in schema:
        kind = str(field.type)
        if kind in ("binary", "large_binary") or kind.startswith("struct<bytes: "):
            images.append(field.name)
    if not images:
        raise ValueError(
            f"{path}: has the columns {', '.join(schema.names)}; expected one of images, "
            "struct<bytes, path> or binary"
        )
    return str(images[0])


def _label_column(schema: Any, asked: str | None, path: str) -> str:
    candidates = _LABELS if asked is None else (asked,)
    for name in candidates:
        if name in schema.names:
            return name
    raise ValueError(
        f"{path}: has the columns {', '.join(schema.names)}; expected one of labels, named "
        f"{' or '.join(candidates)}"
    )

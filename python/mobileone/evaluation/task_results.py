"""How good a detector or a segmenter is on data, as numbers, tables, DataFrames and JSON."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables

if TYPE_CHECKING:
    import pandas

    from mobileone.tasks.detection.coco_map import CocoMap
    from mobileone.tasks.segmentation.mean_iou import ConfusionMatrix

__all__ = ["DetectionEvaluation", "SegmentationEvaluation"]

_LISTED = 5
_SCHEMA = "mobileone.evaluation."


@dataclass(frozen=True, eq=False, repr=False)
class _TaskEvaluation(Tables):
    """What both have.

    Attributes:
        name: of the model.
        data: name of the data.
        count: pictures that were read.
        unreadable: those that were not, as (key, reason).
    """

    name: str
    data: str
    count: int
    unreadable: tuple[tuple[str, str], ...]

    def to_dict(self) -> dict[str, Any]:
        """All figures as JSON-serialisable values."""
        facts = {"model": self.name, "data": self.data, "pictures": self.count}
        return {**facts, **self._figures(), "unreadable": dict(self.unreadable)}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """A line per class; needs pandas."""
        import pandas

        return pandas.DataFrame(self._per_class())

    def _figures(self) -> dict[str, Any]:
        raise NotImplementedError

    def _per_class(self) -> list[dict[str, Any]]:
        raise NotImplementedError

    def _notes(self) -> list[str]:
        if not self.unreadable:
            return []
        lines = [f"  {key}: {text}" for key, text in self.unreadable[:_LISTED]]
        return [f"{len(self.unreadable)} pictures could not be read, among them:", *lines]

    def _table(self, figures: Mapping[str, float]) -> Table:
        columns = [Column("model", "left"), Column("pictures"), *map(Column, figures)]
        row = [self.name, str(self.count), *map(_percent, figures.values())]
        return Table(f"evaluation on {self.data}", columns, [row], self._notes())


@dataclass(frozen=True, eq=False, repr=False)
class DetectionEvaluation(_TaskEvaluation):
    """COCO's mean average precision of a detector; prints as tables.

    Attributes:
        figures: see `tasks.detection.coco_map.CocoMap`.
        categories: names by COCO's ids.
        results: every box, as COCO's evaluation server takes them.
    """

    figures: CocoMap
    categories: dict[Any, str]
    results: tuple[dict[str, Any], ...]

    @property
    def map(self) -> float:
        """Mean average precision over overlaps of 0.50 to 0.95, 0 to 1; -1 without an object."""
        return self.figures.map

    @property
    def map_50(self) -> float:
        """At an overlap of 0.5."""
        return self.figures.map_50

    def _figures(self) -> dict[str, Any]:
        named = self.figures._asdict()
        named["per_category"] = {str(k): v for k, v in self.figures.per_category.items()}
        return {"schema": f"{_SCHEMA}coco/1", **named}

    def _per_class(self) -> list[dict[str, Any]]:
        return [
            {"category_id": key, "name": self.categories[key], "map": value}
            for key, value in self.figures.per_category.items()
        ]

    def tables(self) -> list[Table]:
        """The figures in percent, and the weakest categories."""
        f = self.figures
        titles = {"mAP %": f.map, "mAP@50 %": f.map_50, "mAP@75 %": f.map_75}
        titles |= {"small %": f.map_small, "medium %": f.map_medium, "large %": f.map_large}
        there = [row for row in self._per_class() if row["map"] >= 0]
        weakest = sorted(there, key=lambda row: row["map"])[:_LISTED]
        rows = [(row["name"], _percent(row["map"])) for row in weakest]
        columns = [Column("category", "left"), Column("mAP %")]
        return [
            self._table({**titles, "recall %": f.recall}),
            Table("weakest categories", columns, rows),
        ]


@dataclass(frozen=True, eq=False, repr=False)
class SegmentationEvaluation(_TaskEvaluation):
    """Mean intersection over union of a segmenter; prints as tables.

    Attributes:
        matrix: pixels of each class that were taken for each class.
        class_names: what the classes are called.
    """

    matrix: ConfusionMatrix
    class_names: tuple[str, ...]

    @property
    def mean_iou(self) -> float:
        """Over the classes that are there or found, 0 to 1; NaN without any."""
        return self.matrix.mean_iou

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose class was found; NaN without any."""
        return self.matrix.pixel_accuracy

    def _figures(self) -> dict[str, Any]:
        figures = {"mean_iou": self.mean_iou, "pixel_accuracy": self.pixel_accuracy}
        there = {row["name"]: row["iou"] for row in self._per_class()}
        return {"schema": f"{_SCHEMA}miou/1", **figures, "per_class": there}

    def _per_class(self) -> list[dict[str, Any]]:
        return [
            {"class": number, "name": name, "iou": float(value)}
            for number, (name, value) in enumerate(
                zip(self.class_names, self.matrix.iou, strict=True)
            )
            if not math.isnan(value)
        ]

    def tables(self) -> list[Table]:
        """The figures in percent, and the weakest classes."""
        weakest = sorted(self._per_class(), key=lambda row: row["iou"])[:_LISTED]
        rows = [(row["name"], _percent(row["iou"])) for row in weakest]
        figures = {"mean IoU %": self.mean_iou, "pixel accuracy %": self.pixel_accuracy}
        columns = [Column("class", "left"), Column("IoU %")]
        return [self._table(figures), Table("weakest classes", columns, rows)]


def _percent(value: float) -> str:
    return "–" if math.isnan(value) or value < 0 else f"{100 * value:.2f}"

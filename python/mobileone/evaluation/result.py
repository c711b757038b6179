"""Evaluation: how good a model is on data, as numbers, tables, DataFrames and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from mobileone.evaluation.comparison import Comparison
from mobileone.evaluation.corruptions import CorruptionErrors
from mobileone.evaluation.records import ShardResult
from mobileone.evaluation.totals import Totals, total
from mobileone.tasks.classification.labels import class_name
from mobileone.tasks.classification.metrics import Interval, exact_sum, wilson
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["ClassRow", "Evaluation", "share_cells"]

SCHEMA = "mobileone.evaluation/1"
_LISTED = 5


@dataclass(frozen=True)
class ClassRow:
    """One class: its pictures, and shares of these with it first, and among the first five."""

    index: int
    name: str
    count: int
    top1: Interval
    top5: float


@dataclass(frozen=True, eq=False, repr=False)
class Evaluation(Tables):
    """How good a model is on data; prints as tables.

    All figures are sums of whole numbers over the pictures that were read and have a label: the
    same whoever computed which of them, in whichever order.

    Attributes:
        name: of the model.
        data: name of the data.
        results: of the shards, in their order; iterated over as often as needed.
        model: the number of this model in their records.
        num_classes: of the model.
        class_names: of the model.
        notes: how it was measured, and what was met.
        against: the evaluation of a second model on the same pictures.
        comparison: of the two.
        corruptions: errors by corruption and severity, of ImageNet-C.
        interrupted: whether Ctrl-C ended it early; figures are of the shards done by then.
    """

    name: str
    data: str
    results: Iterable[ShardResult]
    model: int
    num_classes: int
    class_names: Sequence[str] | None = None
    notes: tuple[str, ...] = ()
    against: Evaluation | None = None
    comparison: Comparison | None = None
    corruptions: CorruptionErrors | None = None
    interrupted: bool = False

    @cached_property
    def totals(self) -> Totals:
        """The sums behind all figures."""
        return total(self.results, self.model)

    @property
    def count(self) -> int:
        """Pictures that were read and have a label."""
        return self.totals.count

    @property
    def top1(self) -> Interval:
        """The share with the right class first, with Wilson's 95 % interval."""
        return self.totals.accuracy(1)

    @property
    def top5(self) -> Interval:
        """The share with the right class among the first five."""
        return self.totals.accuracy(5)

    @property
    def nll(self) -> Interval:
        """The mean negative log likelihood in nats."""
        return self.totals.nll

    @property
    def ece(self) -> float:
        """The expected calibration error, 15 bins (Guo et al. 2017)."""
        return self.totals.ece

    @cached_property
    def unreadable(self) -> tuple[tuple[str, str], ...]:
        """Pictures that were not read, as (key, reason)."""
        return tuple(
            (result.keys[row], text)
            for result in self.results
            for row, text in sorted(result.errors.items())
        )

    def per_class(self) -> list[ClassRow]:
        """The classes that occur, by index."""
        rows = sorted(self.totals.by_class.items())
        return [
            ClassRow(
                index,
                self._name(index),
                int(count),
                wilson(int(first), int(count)),
                float(fifth / count),
            )
            for index, (count, first, fifth) in rows
        ]

    def confusion(self) -> npt.NDArray[np.int64]:
        """Pictures by right class and most probable class [K, K]. Without those that have logits
        which are not finite.
        """
        matrix = np.zeros((self.num_classes, self.num_classes), np.int64)
        for (label, predicted), count in self.totals.confusions.items():
            if predicted >= 0:
                matrix[label, predicted] = count
        return matrix

    def confused(self, count: int = 10) -> list[tuple[str, str, int]]:
        """The most frequent errors: (right class, prediction, pictures)."""
        wrong = {pair: n for pair, n in self.totals.confusions.items() if pair[0] != pair[1]}
        best = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:count]
        return [(self._name(a), self._name(b), n) for (a, b), n in best]

    def calibration(self) -> list[tuple[int, float, float]]:
        """By bin of confidence: pictures, their mean confidence, the share that is right."""
        t = self.totals
        return [
            (int(n), exact_sum(sum_) / n, int(right) / int(n))
            for n, right, sum_ in zip(t.bin_counts, t.bin_right, t.bin_units, strict=True)
            if n
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything but the single pictures, as JSON-serialisable values."""
        return {
            "schema": SCHEMA,
            "model": self.name,
            "data": self.data,
            "pictures": self.count,
            "top1": self.top1._asdict(),
            "top5": self.top5._asdict(),
            "nll": self.nll._asdict(),
            "ece": self.ece,
            "not_finite": self.totals.not_finite,
            "per_class": {
                str(row.index): {"name": row.name, "pictures": row.count}
                | {"top1": row.top1.value, "top5": row.top5}
                for row in self.per_class()
            },
            "unreadable": dict(self.unreadable),
            "notes": list(self.notes),
            "interrupted": self.interrupted,
            "against": None if self.against is None else self.against.to_dict(),
            "corruptions": None if self.corruptions is None else self.corruptions.to_dict(),
            "comparison": None if self.comparison is None else self.comparison.to_dict(),
        }

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """A line per picture: label, prediction, rank, nll, confidence, error; needs pandas."""
        import pandas

        return pandas.DataFrame(list(self._pictures()))

    def _pictures(self) -> Iterator[dict[str, Any]]:
        for result in self.results:
            own = result.records[self.model]
            for row, key in enumerate(result.keys):
                yield {
                    "key": key,
                    "label": int(result.labels[row]),
                    "prediction": int(own.top[row, 0]),
                    "rank": int(own.rank[row]),
                    "nll": float(own.nll[row]),
                    "confidence": float(own.confidence[row]),
                    "error": result.errors.get(row),
                }

    def plot(self, ax: Axes | None = None) -> Axes:
        """A reliability diagram: accuracy over confidence; needs matplotlib. Returns the axes."""
        from mobileone.figures.calibration import plot_calibration

        return plot_calibration(self.calibration(), f"{self.name}, ECE {self.ece:.3f}", ax)

    def tables(self) -> list[Table]:
        """The figures, the weakest classes, and the comparison."""
        found = [self._figures()]
        if len(self.totals.by_class) > 1:
            found.append(self._weakest())
        for one in (self, self.against):
            if one is not None and one.corruptions is not None:
                title = f"{one.name}: top-1 errors by corruption and severity"
                found += [replace(table, title=title) for table in one.corruptions.tables()]
        return found + (self.comparison.tables() if self.comparison else [])

    def _figures(self) -> Table:
        titles = ["pictures", "top-1 %", "95 % interval", "top-5 %", "95 % interval", "NLL", "ECE"]
        both = [self, *([self.against] if self.against else [])]
        rows = [
            [
                one.name,
                str(one.count),
                *share_cells(one.top1),
                *share_cells(one.top5),
                number_text(one.nll.value, 4),
                number_text(one.ece, 4),
            ]
            for one in both
        ]
        columns = [Column("model", "left"), *map(Column, titles)]
        return Table(f"evaluation on {self.data}", columns, rows, self._all_notes())

    def _all_notes(self) -> list[str]:
        notes = list(self.notes)
        if self.unreadable:
            first = [f"{key}: {text}" for key, text in self.unreadable[:_LISTED]]
            notes.append(f"{len(self.unreadable)} pictures could not be read, among them:")
            notes += [f"  {line}" for line in first]
        for one in (self, self.against):
            if one is not None and one.totals.not_finite:
                notes.append(
                    f"{one.name}: the logits of {one.totals.not_finite} pictures are not finite: "
                    "they count as wrong, and neither in NLL nor in ECE"
                )
        if self.interrupted:
            notes.append("interrupted: the figures are of the pictures done by then")
        return notes

    def _weakest(self) -> Table:
        rows = sorted(self.per_class(), key=lambda row: (row.top1.value, row.index))[:_LISTED]
        cells = [
            [row.name, str(row.count), *share_cells(row.top1), f"{100 * row.top5:.2f}"]
            for row in rows
        ]
        titles = ["pictures", "top-1 %", "95 % interval", "top-5 %"]
        return Table("weakest classes", [Column("class", "left"), *map(Column, titles)], cells)

    def _name(self, index: int) -> str:
        return "–" if index < 0 else class_name(index, self.num_classes, self.class_names)


def share_cells(found: Interval) -> list[str]:
    """A share in percent, and its interval, as cells of a table."""
    low, high = (f"{100 * bound:.2f}" for bound in found[1:])
    return [f"{100 * found.value:.2f}", f"{low} .. {high}"]

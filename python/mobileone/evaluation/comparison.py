"""Two models on the same pictures: what changes, and whether that is chance."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.evaluation.records import ShardResult
from mobileone.tasks.classification.labels import class_name
from mobileone.tasks.classification.metrics import Interval, mcnemar_p_value, paired_difference
from mobileone.util.tables import Column, Table, Tables

if TYPE_CHECKING:
    import pandas

__all__ = ["Change", "Comparison", "compare"]

_LISTED = 10


@dataclass(frozen=True)
class Change:
    """A picture of which two models say different things.

    Attributes:
        key: the picture.
        label: the right class; -1 if unknown.
        reference: the first model's most probable class; -1 if its logits are not finite.
        candidate: the second one's.
        reference_confidence: its probability.
        candidate_confidence: its probability.
        outcome: "gained" or "lost" where exactly one is right, else "other".
    """

    key: str
    label: int
    reference: int
    candidate: int
    reference_confidence: float
    candidate_confidence: float
    outcome: str


@dataclass(frozen=True, repr=False)
class Comparison(Tables):
    """What becomes of pictures from a first to a second model; prints as a table.

    Attributes:
        reference: name of the first model.
        candidate: of the second.
        pictures: that both have seen.
        labelled: of these, those with a label.
        both_right: that both have right.
        gained: that only the second has right.
        lost: that only the first has right.
        changes: pictures with another most probable class, in their order.
        num_classes: of the models.
        class_names: of the models.
    """

    reference: str
    candidate: str
    pictures: int
    labelled: int
    both_right: int
    gained: int
    lost: int
    changes: tuple[Change, ...]
    num_classes: int
    class_names: Sequence[str] | None = None

    @property
    def agreement(self) -> float:
        """The share of pictures with the same most probable class."""
        return 1 - len(self.changes) / self.pictures if self.pictures else float("nan")

    @property
    def difference(self) -> Interval:
        """Top-1 of the second less that of the first, with its 95 % interval."""
        return paired_difference(self.gained, self.lost, self.labelled)

    @property
    def p_value(self) -> float:
        """McNemar's exact test: how likely so uneven a change is, were both equally good."""
        return mcnemar_p_value(self.gained, self.lost)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        names = None if self.class_names is None else list(self.class_names)
        return own | {
            "changes": [dataclasses.asdict(change) for change in self.changes],
            "class_names": names,
            "agreement": self.agreement,
            "difference": self.difference._asdict(),
            "p_value": self.p_value,
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per picture that changed; needs pandas."""
        import pandas

        columns = [field.name for field in dataclasses.fields(Change)]
        rows = [dataclasses.asdict(change) for change in self.changes]
        return pandas.DataFrame(rows, columns=columns)

    def tables(self) -> list[Table]:
        """The verdict, and the first pictures that changed."""
        difference = self.difference
        low, high = (f"{100 * bound:+.2f}" for bound in difference[1:])
        rows = [
            ["same prediction", f"{self.agreement:.4%} of {self.pictures}"],
            ["both right", str(self.both_right)],
            [f"right only in {self.reference}", str(self.lost)],
            [f"right only in {self.candidate}", str(self.gained)],
            ["top-1 difference", f"{100 * difference.value:+.2f} points, {low} .. {high}"],
            ["McNemar's p", f"{self.p_value:.4g}"],
        ]
        title = f"{self.candidate} against {self.reference}"
        verdict = Table(title, [Column("", "left"), Column("")], rows)
        return [verdict, *([self._change_table()] if self.changes else [])]

    def _change_table(self) -> Table:
        titles = ("picture", "label", self.reference, self.candidate, "")
        columns = [Column(title, "left") for title in titles]
        shown = [*sorted(self.changes, key=lambda change: change.outcome == "other")][:_LISTED]
        rows = [
            [
                change.key,
                self._name(change.label),
                f"{self._name(change.reference)} {change.reference_confidence:.0%}",
                f"{self._name(change.candidate)} {change.candidate_confidence:.0%}",
                change.outcome,
            ]
            for change in shown
        ]
        more = len(self.changes) - len(shown)
        return Table("pictures that changed", columns, rows, [f"and {more} more"] if more else [])

    def _name(self, index: int) -> str:
        return "–" if index < 0 else class_name(index, self.num_classes, self.class_names)


def compare(
    results: Iterable[ShardResult],
    names: tuple[str, str],
    num_classes: int,
    class_names: Sequence[str] | None,
) -> Comparison:
    """The second model of the records against the first."""
    pictures = labelled = both = gained = lost = 0
    changes: list[Change] = []
    for result in results:
        first, second = result.records[:2]
        known = result.read & (first.rank >= 0) & (second.rank >= 0)
        right = (first.rank == 0) & known, (second.rank == 0) & known
        pictures += int(result.read.sum())
        labelled += int(known.sum())
        both += int((right[0] & right[1]).sum())
        gained += int((~right[0] & right[1]).sum())
        lost += int((right[0] & ~right[1]).sum())
        for row in np.flatnonzero(result.read & (first.top[:, 0] != second.top[:, 0])):
            gain = int(right[1][row]) - int(right[0][row])
            changes.append(
                Change(
                    result.keys[row],
                    int(result.labels[row]),
                    int(first.top[row, 0]),
                    int(second.top[row, 0]),
                    float(first.confidence[row]),
                    float(second.confidence[row]),
                    ("lost", "other", "gained")[gain + 1],
                )
            )
    counts = (pictures, labelled, both, gained, lost)
    return Comparison(*names, *counts, tuple(changes), num_classes, class_names)

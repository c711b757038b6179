"""Errors by corruption and severity, and ImageNet-C's mean corruption error."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.evaluation.records import ShardResult
from mobileone.util.tables import Column, Table, Tables, number_text

if TYPE_CHECKING:
    import pandas

__all__ = ["ALEXNET_ERRORS", "SEVERITIES", "CorruptionErrors", "corruption_errors", "corruption_of"]

SEVERITIES = (1, 2, 3, 4, 5)
# AlexNet's top-1 errors, means over the five severities: Hendrycks and Dietterich, "Benchmarking
# Neural Network Robustness to Common Corruptions and Perturbations" (2019), in the digits that
# their code has.
ALEXNET_ERRORS = {
    "gaussian_noise": 0.886428,
    "shot_noise": 0.894468,
    "impulse_noise": 0.922640,
    "defocus_blur": 0.819880,
    "glass_blur": 0.826268,
    "motion_blur": 0.785948,
    "zoom_blur": 0.798360,
    "snow": 0.866816,
    "frost": 0.826572,
    "fog": 0.819324,
    "brightness": 0.564592,
    "contrast": 0.853204,
    "elastic_transform": 0.646056,
    "pixelate": 0.717840,
    "jpeg_compression": 0.606500,
}


@dataclass(frozen=True, repr=False)
class CorruptionErrors(Tables):
    """Top-1 errors under corruptions; prints as a table.

    Attributes:
        errors: of (corruption, severity) the share of pictures that is wrong.
        counts: of (corruption, severity) the number of pictures.
    """

    errors: dict[tuple[str, int], float]
    counts: dict[tuple[str, int], int]

    @property
    def corruptions(self) -> list[str]:
        """Those that occur: of the paper's 15 in its order, then others."""
        found = {name for name, _ in self.errors}
        return [n for n in ALEXNET_ERRORS if n in found] + sorted(found - ALEXNET_ERRORS.keys())

    def error(self, corruption: str) -> float:
        """The mean over the five severities; NaN if one is missing."""
        found = [self.errors.get((corruption, severity), math.nan) for severity in SEVERITIES]
        return math.fsum(found) / len(SEVERITIES)

    def relative(self, corruption: str) -> float:
        """CE: the sum of the errors over the severities, over AlexNet's; NaN if it has none."""
        return self.error(corruption) / ALEXNET_ERRORS.get(corruption, math.nan)

    @property
    def missing(self) -> list[str]:
        """Of the 15 corruptions at 5 severities those that do not occur, as "fog/3"."""
        return [
            f"{name}/{severity}"
            for name in ALEXNET_ERRORS
            for severity in SEVERITIES
            if (name, severity) not in self.errors
        ]

    @property
    def mce(self) -> float:
        """The mean corruption error: the mean of CE over the 15 corruptions; NaN if one misses."""
        return math.fsum(self.relative(name) for name in ALEXNET_ERRORS) / len(ALEXNET_ERRORS)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; None where a corruption is missing."""
        return {
            "mce": None if math.isnan(self.mce) else self.mce,
            "missing": self.missing,
            "errors": {f"{name}/{severity}": e for (name, severity), e in self.errors.items()},
            "pictures": {f"{name}/{severity}": n for (name, severity), n in self.counts.items()},
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A line per corruption and severity; needs pandas."""
        import pandas

        columns = ["corruption", "severity", "pictures", "error"]
        rows = [(*key, self.counts[key], error) for key, error in self.errors.items()]
        return pandas.DataFrame(rows, columns=columns)

    def tables(self) -> list[Table]:
        """The one table."""
        columns = [Column("corruption", "left"), *(Column(str(s)) for s in SEVERITIES)]
        columns += [Column("mean error %"), Column("CE %")]
        rows = [
            [
                name,
                *(_percent(self.errors.get((name, s), math.nan)) for s in SEVERITIES),
                _percent(self.error(name)),
                _percent(self.relative(name)),
            ]
            for name in self.corruptions
        ]
        if self.missing:
            notes = [f"no mCE: {len(self.missing)} of 75 are missing, such as {self.missing[0]}"]
        else:
            notes = [f"mCE {100 * self.mce:.2f} %: the mean of CE, error over AlexNet's"]
        return [Table("top-1 errors by corruption and severity", columns, rows, notes)]


def corruption_of(key: str) -> tuple[str, int] | None:
    """(corruption, severity) of ".../fog/3/...": the first two folders that are these."""
    parts = key.split("/")
    for name, severity in itertools.pairwise(parts):
        if severity in ("1", "2", "3", "4", "5") and not name.isdigit():
            return name, int(severity)
    return None


def corruption_errors(results: Iterable[ShardResult], model: int) -> CorruptionErrors:
    """Of the pictures that were read, by the folders that they are in."""
    wrong: dict[tuple[str, int], int] = {}
    counts: dict[tuple[str, int], int] = {}
    for result in results:
        rank = result.records[model].rank
        for row in np.flatnonzero(result.read & (rank >= 0)):
            found = corruption_of(result.keys[row])
            if found is not None:
                counts[found] = counts.get(found, 0) + 1
                wrong[found] = wrong.get(found, 0) + int(rank[row] > 0)
    order = sorted(counts)
    return CorruptionErrors({k: wrong[k] / counts[k] for k in order}, {k: counts[k] for k in order})


def _percent(share: float) -> str:
    return number_text(None if math.isnan(share) else 100 * share, 1)

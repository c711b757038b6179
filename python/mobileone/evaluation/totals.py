"""Figures of a whole data set, from the records of its shards: the same bits in any order."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mobileone.evaluation.records import Records, ShardResult
from mobileone.tasks.classification.metrics import (
    CALIBRATION_BINS,
    Z_95,
    Interval,
    exact_sum,
    units,
    wilson,
)

__all__ = ["Totals", "total"]


@dataclass
class Totals:
    """Sums over pictures that were read and have a label.

    Attributes:
        count: of these pictures.
        within: how many have the right class among the first 1, ..., 5.
        nll_units: the sum of the negative log likelihoods; see `metrics.units`.
        nll_square_units: of their squares.
        not_finite: pictures with logits that are not finite: wrong, and in no other figure.
        by_class: of each right class its pictures and how many are right within 1 and within 5.
        confusions: of (right class, most probable class) the number of pictures.
        bin_counts: pictures by confidence.
        bin_right: the right ones of these.
        bin_units: the sum of their confidences.
    """

    count: int = 0
    within: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(5, np.int64))
    nll_units: int = 0
    nll_square_units: int = 0
    not_finite: int = 0
    by_class: dict[int, npt.NDArray[np.int64]] = field(default_factory=dict)
    confusions: Counter[tuple[int, int]] = field(default_factory=Counter)
    bin_counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(CALIBRATION_BINS, np.int64)
    )
    bin_right: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(CALIBRATION_BINS, np.int64)
    )
    bin_units: list[int] = field(default_factory=lambda: [0] * CALIBRATION_BINS)

    def add(self, labels: npt.NDArray[np.int32], records: Records) -> None:
        """Pictures that were read and have a label."""
        self.count += len(labels)
        for k in range(5):
            self.within[k] += int((records.rank <= k).sum())
        finite = records.finite
        self.not_finite += int((~finite).sum())
        self.nll_units += units(records.nll[finite])
        self.nll_square_units += units(records.nll[finite] ** 2)
        self._add_classes(labels, records)
        right = records.rank[finite] == 0
        confidence = records.confidence[finite]
        # Bin i holds confidences in (i / 15, (i + 1) / 15].
        bins = np.clip(np.ceil(confidence * CALIBRATION_BINS).astype(int) - 1, 0, None)
        bins = np.minimum(bins, CALIBRATION_BINS - 1)
        np.add.at(self.bin_counts, bins, 1)
        np.add.at(self.bin_right, bins[right], 1)
        for index in np.unique(bins):
            self.bin_units[index] += units(confidence[bins == index])

    def _add_classes(self, labels: npt.NDArray[np.int32], records: Records) -> None:
        for label in np.unique(labels):
            own = records.rank[labels == label]
            added = np.array([len(own), (own == 0).sum(), (own < 5).sum()], np.int64)
            self.by_class[int(label)] = self.by_class.get(int(label), 0) + added
        # Where one of several labels is right, the prediction is: no confusion.
        taken = np.where(records.rank == 0, labels, records.top[:, 0])
        pairs, counts = np.unique(np.stack([labels, taken], 1), axis=0, return_counts=True)
        for (label, predicted), count in zip(pairs, counts, strict=True):
            self.confusions[int(label), int(predicted)] += int(count)

    def accuracy(self, k: int = 1) -> Interval:
        """The share of pictures with the right class among the first k of at most 5."""
        return wilson(int(self.within[k - 1]), self.count)

    @property
    def nll(self) -> Interval:
        """The mean negative log likelihood in nats, with an interval from its standard error."""
        count = self.count - self.not_finite
        if not count:
            return Interval(math.nan, math.nan, math.nan)
        mean = exact_sum(self.nll_units) / count
        square = exact_sum(self.nll_square_units) / count
        spread = Z_95 * math.sqrt(max(0.0, square - mean**2) / count)
        return Interval(mean, mean - spread, mean + spread)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean distance of confidence and accuracy by bin.

        Guo et al. (2017), equation 3, with 15 bins of equal width.
        """
        count = int(self.bin_counts.sum())
        if not count:
            return math.nan
        sums = [exact_sum(total) for total in self.bin_units]
        gaps = [abs(right - own) for right, own in zip(self.bin_right.tolist(), sums, strict=True)]
        return math.fsum(gaps) / count


def total(results: Iterable[ShardResult], model: int) -> Totals:
    """The totals of a model, by its number in the records."""
    totals = Totals()
    for result in results:
        records = result.records[model]
        chosen = result.read & (records.rank >= 0)
        if chosen.any():
            totals.add(result.labels[chosen], records.at(chosen))
    return totals

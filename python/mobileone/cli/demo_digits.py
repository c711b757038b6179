"""The demo's second half: a network that has learned something, on images that are new to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mobileone.data.datasets.digits import held_out_digits
from mobileone.measure.benchmarking import benchmark
from mobileone.model import Model, load, reparameterize
from mobileone.util.tables import Column, Table, number_text

if TYPE_CHECKING:
    from mobileone.measure.benchmark_result import BenchmarkResult

__all__ = ["DIGITS_CHECKPOINT", "DigitsResult", "run_digits"]

# What `mobileone train --data digits` made, in train-time form.
DIGITS_CHECKPOINT = Path(__file__).with_name("digits.safetensors")


@dataclass(frozen=True)
class DigitsResult:
    """What the demo found on handwritten digits.

    Attributes:
        models: in train-time form, and fused.
        right: by model: how many of the images were recognised.
        same: on how many images both predict the same.
        images: how many there are.
        benchmark: the time of one image.
    """

    models: dict[str, Model]
    right: dict[str, int]
    same: int
    images: int
    benchmark: BenchmarkResult


def run_digits(*, threads: int | None, runs: int, show: Callable[[str], None]) -> DigitsResult:
    """Recognise the held-out digits with the shipped network in both forms, and time them."""
    trained = load(DIGITS_CHECKPOINT)
    models = {"before": trained, "after": reparameterize(trained)}
    samples = held_out_digits()
    pixels = np.ascontiguousarray(samples.pixels.transpose(0, 3, 1, 2))
    found = {label: model(pixels).argmax(1) for label, model in models.items()}
    right = {label: int((classes == samples.labels).sum()) for label, classes in found.items()}
    same = int((found["before"] == found["after"]).sum())
    result = benchmark(models, threads=threads, runs=runs)
    digits = DigitsResult(models, right, same, len(pixels), result)
    show(_table(digits).to_text())
    return digits


def _table(digits: DigitsResult) -> Table:
    titles = ["right", "accuracy", "median ms per image"]
    rows = [
        [
            label,
            digits.models[label].form,
            f"{right} of {digits.images}",
            f"{right / digits.images:.1%}",
            number_text(row.median_ms),
        ]
        for (label, right), row in zip(digits.right.items(), digits.benchmark.rows, strict=True)
    ]
    columns = [Column("model", "left"), Column("form", "left"), *map(Column, titles)]
    notes = [
        f"the same prediction on {digits.same} of {digits.images} images",
        "8 x 8 pixels, by writers of whom nothing was learned (scikit-learn's digits, last 20 %)",
    ]
    return Table("handwritten digits, recognised by a trained network", columns, rows, notes)

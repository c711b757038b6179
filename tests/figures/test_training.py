"""Figures of trainings show the numbers that they are given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mobileone.figures.training import interval, plot_seeds
from mobileone.train.history import Epoch, History

pytest.importorskip("matplotlib").use("agg")

COMMON = {"images": 64, "learning_rate": 0.1, "weight_decay": 1e-4, "gradient_norm": 2.0}
COMMON |= {"size": (32, 32), "strength": 1.0, "seconds": 0.5}


def history(*, validated: bool) -> History:
    losses = (2.0, 1.5, 1.25)
    measured = [(x + 0.25, 1 - x / 4) if validated else (None, None) for x in losses]
    return History(
        [
            Epoch(
                i + 1, 10 * (i + 1), loss=loss, validation_loss=v, validation_accuracy=a, **COMMON
            )  # type: ignore[arg-type]
            for i, (loss, (v, a)) in enumerate(zip(losses, measured, strict=True))
        ]
    )


def test_losses_and_accuracy_are_drawn() -> None:
    axes = history(validated=True).plot()
    assert [list(line.get_ydata()) for line in axes.lines] == [[2, 1.5, 1.25], [2.25, 1.75, 1.5]]
    right = [other for other in axes.figure.axes if other is not axes]  # type: ignore[union-attr]
    np.testing.assert_allclose(right[0].lines[0].get_ydata(), [50, 62.5, 68.75])
    assert len(history(validated=False).plot().lines) == 1


def test_a_history_is_a_table_a_file_and_rows(tmp_path: Path) -> None:
    found = history(validated=True)
    assert "68.75%" in repr(found)
    assert "128" in repr(found), "images per second"
    found.to_json(tmp_path / "h.json")
    stored = json.loads((tmp_path / "h.json").read_text())
    assert History.of(stored["epochs"]).epochs == found.epochs
    assert "<table" in found._repr_html_()
    frame = found.to_dataframe()
    assert frame["loss"].tolist() == [2.0, 1.5, 1.25]


def test_the_interval_of_a_mean_is_students() -> None:
    # Of 1, 2, 3, 4, 5: 2.776 x sqrt(2.5 / 5).
    assert interval([1, 2, 3, 4, 5]) == pytest.approx(2.776 * np.sqrt(0.5))
    axes = plot_seeds({"k = 1": [96.0, 97.0], "k = 4": [97.0, 97.5]}, "accuracy (%)")
    assert [t.get_text() for t in axes.get_yticklabels()] == ["k = 1", "k = 4"]
    assert any("96.50 ±" in t.get_text() for t in axes.texts)

"""Figures of trainings, of plain rows. matplotlib is imported inside the functions only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.figures.plots import PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_history", "plot_seeds"]

Rows = Sequence[Any]


def plot_history(rows: Rows, ax: Axes | None = None) -> Axes:
    """Losses on the left axis, validation accuracy on the right, over the epochs.

    Rows have epoch, loss, validation_loss and validation_accuracy; the last two may be None.
    """
    if ax is None:
        ax = new_axes(8.0, 4.0)
    epochs = [row.epoch for row in rows]
    lines = ax.plot(epochs, [row.loss for row in rows], color=PALETTE[0], label="training loss")
    measured = [row for row in rows if row.validation_loss is not None]
    if measured:
        at = [row.epoch for row in measured]
        losses = [row.validation_loss for row in measured]
        lines += ax.plot(at, losses, color=PALETTE[1], label="validation loss")
    scored = [row for row in rows if row.validation_accuracy is not None]
    if scored:
        right, at = ax.twinx(), [row.epoch for row in scored]
        accuracies = [100 * row.validation_accuracy for row in scored]
        lines += right.plot(at, accuracies, color=PALETTE[2], label="validation accuracy")
        right.set_ylabel("accuracy (%)")
    ax.set_xlabel("epoch")
    ax.set_ylabel("loss")
    ax.set_ylim(bottom=0)
    ax.legend(handles=lines, fontsize="small", loc="center right")
    return ax


def plot_seeds(results: Mapping[str, Sequence[float]], label: str, ax: Axes | None = None) -> Axes:
    """One line per name: every seed's value, their mean, and its 95 % interval.

    Args:
        results: name -> values, one per seed, two at least.
        label: what they are.
        ax: where to draw; default: new axes.
    """
    if ax is None:
        ax = new_axes(8.0, 1.2 + 0.4 * len(results))
    for y, values in enumerate(results.values()):
        color = PALETTE[y % len(PALETTE)]
        mean, half = np.mean(values), interval(values)
        ax.plot(values, [y] * len(values), ".", color=color, alpha=0.5)
        ax.errorbar(mean, y, xerr=half, fmt="o", color=color, capsize=4)
        ax.annotate(
            f"{mean:.2f} ± {half:.2f}", (mean + half, y), (8, 8), textcoords="offset points",
            fontsize="small",
        )  # fmt: skip
    ax.set_yticks(range(len(results)), list(results))
    ax.set_ylim(len(results) - 0.4, -0.6)
    ax.set_xlabel(label)
    return ax


def interval(values: Sequence[float]) -> float:
    """Half of the 95 % interval of a mean of two values or more, by Student's t."""
    count = len(values)
    factor = _T[min(count, len(_T)) - 2]
    return float(factor * np.std(values, ddof=1) / np.sqrt(count))


# 97.5 % points of Student's t with 1, 2, ... degrees of freedom.
_T = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)

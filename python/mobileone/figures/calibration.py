"""Reliability diagrams, of plain rows. matplotlib is imported inside the functions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobileone.figures.plots import PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_calibration"]


def plot_calibration(
    rows: Sequence[tuple[int, float, float]], title: str, ax: Axes | None = None
) -> Axes:
    """Accuracy over confidence, a dot per bin as large as its share of pictures.

    Rows are (pictures, mean confidence, share that is right).
    """
    if ax is None:
        ax = new_axes(5.0, 5.0)
    total = sum(count for count, _, _ in rows)
    sizes = [400 * count / total for count, _, _ in rows]
    ax.plot([0, 1], [0, 1], color="0.6", linewidth=1, label="calibrated")
    confidence, right = [row[1] for row in rows], [row[2] for row in rows]
    ax.scatter(confidence, right, sizes, color=PALETTE[0], label="bins")
    ax.plot(confidence, right, color=PALETTE[0], linewidth=1)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.set_xlabel("confidence")
    ax.set_ylabel("accuracy")
    ax.set_title(title)
    return ax

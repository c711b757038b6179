"""Noise from layer to layer, of plain rows. matplotlib is imported inside the functions only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mobileone.figures.plots import PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_sqnr"]


def plot_sqnr(rows: Sequence[tuple[str, float | None]], title: str, ax: Axes | None = None) -> Axes:
    """Signal to quantization noise in dB from layer to layer.

    Args:
        rows: name and SQNR, None for a layer in float32.
        title: of the axes.
        ax: where to.
    """
    if ax is None:
        ax = new_axes(max(6.0, 0.22 * len(rows)), 4.0)
    known = {i: value for i, (_, value) in enumerate(rows) if value is not None}
    ax.plot(list(known), list(known.values()), color=PALETTE[0], marker=".", label="int8")
    alone = [i for i in range(len(rows)) if i not in known]
    for i in alone:
        ax.axvline(i, color=PALETTE[1], linestyle=":", label="float32" if i == alone[0] else None)
    ax.set_xticks(range(len(rows)), [name for name, _ in rows], rotation=90, fontsize="x-small")
    ax.set_ylabel("SQNR (dB)")
    ax.set_title(title)
    ax.legend()
    return ax

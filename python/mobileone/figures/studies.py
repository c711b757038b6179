"""Figures of the studies' rows; see `figures.plots`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mobileone.figures.plots import PALETTE, Rows, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_correlation", "plot_front", "plot_ratios"]

# Up to this range of ratios bars on a linear axis can be told apart.
_LINEAR = 5.0


def plot_ratios(rows: Rows, title: str, ax: Axes | None = None) -> Axes:
    """Two bars per network: time relative to the first one, here and in the paper.

    Ratios that are far apart take a logarithmic axis, on which bars begin at 1. Rows have label,
    ratio and paper_ratio, which may be None.
    """
    everything = [r for row in rows for r in (row.ratio, row.paper_ratio) if r is not None]
    logarithmic = max(everything) > _LINEAR * min(everything)
    origin = 1.0 if logarithmic else 0.0
    if ax is None:
        ax = new_axes(8.0, 1.4 + 0.6 * len(rows))
    places = np.arange(len(rows))
    series = [("this CPU", [row.ratio for row in rows]), ("paper", [r.paper_ratio for r in rows])]
    for i, (name, ratios) in enumerate(series):
        known = [(y + 0.4 * i - 0.2, ratio) for y, ratio in zip(places, ratios, strict=True)]
        known = [(y, ratio) for y, ratio in known if ratio is not None]
        if not known:
            continue
        heights, values = zip(*known, strict=True)
        lengths = [value - origin for value in values]
        bars = ax.barh(heights, lengths, 0.36, origin, color=PALETTE[i], label=name)
        ax.bar_label(bars, [f"{value:.3g}" for value in values], padding=4, fontsize="small")
    if logarithmic:
        ax.set_xscale("log")
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(min(everything) / 2.0, 2.0 * max(everything))
    else:
        ax.set_xlim(0.0, 1.2 * max(everything))
    ax.axvline(1.0, color="gray", linewidth=1)
    ax.set_yticks(places, [row.label for row in rows])
    ax.invert_yaxis()
    ax.set_xlabel(f"time relative to {rows[0].label}{' (logarithmic)' if logarithmic else ''}")
    ax.set_title(title, fontsize="medium")
    ax.legend(fontsize="small")
    return ax


def plot_correlation(rows: Rows, coefficients: Mapping[str, float], ax: Axes | None = None) -> Axes:
    """Minimum latency over MACs, both logarithmic; the area of a dot grows with parameters.

    Rows have label, params, macs and min_ms; coefficients are by what latency is correlated with.
    """
    if ax is None:
        ax = new_axes(7.0, 4.5)
    largest = max(row.params for row in rows)
    ax.scatter(
        [row.macs / 1e6 for row in rows],
        [row.min_ms for row in rows],
        [30 + 250 * row.params / largest for row in rows],
        color=PALETTE[0],
        alpha=0.8,
    )
    for row in rows:
        ax.annotate(
            row.label, (row.macs / 1e6, row.min_ms), (8, -12), textcoords="offset points",
            fontsize="small",
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.margins(0.25, 0.15)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("million MACs (area of a dot: parameters)")
    ax.set_ylabel("minimum latency (ms)")
    ranks = [f"{name} {value:.2f}" for name, value in coefficients.items()]
    ax.set_title(f"Spearman rank correlation of latency with {', '.join(ranks)}", fontsize="medium")
    return ax


def plot_front(
    points: Sequence[tuple[str, float, float | None]], front: Sequence[str], ax: Axes | None = None
) -> Axes:
    """Accuracy (%) over latency (ms, logarithmic); the names of `front` joined by a line.

    Points are (name, latency, accuracy); those without an accuracy are left out.
    """
    if ax is None:
        ax = new_axes(9.0, 6.0)
    known = {name: (ms, accuracy) for name, ms, accuracy in points if accuracy is not None}
    for name, (ms, accuracy) in known.items():
        color = PALETTE[1 if name.startswith("MobileOne") else 0]
        ax.plot(ms, accuracy, "o", color=color, markersize=6, zorder=2)
        ax.annotate(name, (ms, accuracy), (5, -4), textcoords="offset points", fontsize="x-small")
    if front:
        xs, ys = zip(*(known[name] for name in front), strict=True)
        ax.step(xs, ys, where="post", color="gray", linewidth=1, zorder=1)
    ax.set_xscale("log")
    ax.margins(0.12, 0.08)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_xlabel("minimum latency (ms)")
    ax.set_ylabel("ImageNet top-1 (%), as published")
    ax.set_title("accuracy over latency; none is above and left of the line", fontsize="medium")
    return ax

"""A figure of a report: every engine's time relative to ours, with the null run's spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mobileone.figures.plots import PALETTE, new_axes
from mobileone.util.tables import threads_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from benchmarks.runtimes.report import Report

__all__ = ["plot_ratios"]


def plot_ratios(report: Report, ax: Axes | None = None) -> Axes:
    """Bars of the ratio of medians with their intervals, dots for the ratios of minima."""
    groups = [
        (result, [e for e in result.entries if result.ratio(e) is not None])
        for result in report.cases
    ]
    total = sum(len(entries) + 1 for _, entries in groups)
    if ax is None:
        ax = new_axes(8.0, 1.2 + 0.38 * total)
    ticks: list[tuple[float, str]] = []
    y = 0.0
    for index, (result, entries) in enumerate(groups):
        color = PALETTE[index % len(PALETTE)]
        where = f"{result.case.model}, batch {result.case.batch}, {threads_text(result.threads)}"
        if result.null is not None:
            spread, reach = result.null.spread, (y - 0.5, y + len(entries) - 0.5)
            ax.fill_betweenx(reach, 1 / spread, spread, color="gray", alpha=0.35, linewidth=0)
        for entry in entries:
            ratio = result.ratio(entry)
            if ratio is None:
                continue
            error = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
            ax.barh(y, ratio.median, 0.6, color=color, alpha=0.8, xerr=error, ecolor="gray")
            ax.plot(ratio.of_minima, y, "o", color="gray", markersize=5)
            ticks.append((y, f"{entry.engine}\n{where}"))
            y += 1
        y += 1
    ax.set_yticks([tick for tick, _ in ticks], [text for _, text in ticks], fontsize="x-small")
    ax.axvline(1, color="gray", linewidth=1)
    ax.invert_yaxis()
    ax.set_xlabel("time relative to mobileone (above 1: mobileone is faster); dots: of minima")
    ax.set_title(str(report.fingerprint["cpu"]["model"]), fontsize="small")
    return ax

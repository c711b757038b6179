"""Errors under corruptions, of plain rows. matplotlib is imported inside the functions only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mobileone.figures.plots import PALETTE, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_corruptions"]

_STYLES = ("-", "--", ":")


def plot_corruptions(errors: Mapping[tuple[str, int], float], ax: Axes | None = None) -> Axes:
    """Top-1 error over severity, a line per corruption.

    Args:
        errors: shares of pictures by (corruption, severity).
        ax: where to.
    """
    if ax is None:
        ax = new_axes(7.0, 4.5)
    for i, name in enumerate(dict.fromkeys(name for name, _ in errors)):
        at = sorted(severity for other, severity in errors if other == name)
        style = _STYLES[i // len(PALETTE) % len(_STYLES)]
        values = [100 * errors[name, severity] for severity in at]
        ax.plot(at, values, style, color=PALETTE[i % len(PALETTE)], marker=".", label=name)
    ax.set_xlabel("severity")
    ax.set_ylabel("top-1 error (%)")
    ax.set_ylim(0, 100)
    ax.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return ax

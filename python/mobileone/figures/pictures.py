"""A picture on axes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mobileone.figures.plots import new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plot_picture"]


def plot_picture(pixels: Any, title: str, ax: Axes | None = None) -> Axes:
    """RGB pixels [H, W, 3] without ticks."""
    if ax is None:
        height, width = pixels.shape[:2]
        ax = new_axes(6.4, 6.4 * height / width)
    ax.imshow(pixels)
    ax.set_axis_off()
    ax.set_title(title)
    return ax

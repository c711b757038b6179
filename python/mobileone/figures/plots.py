"""Figures of plain rows. matplotlib is imported inside the functions only.

Rows are objects with the attributes that a function names: the package's results have such rows.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.util.files import whole_file
from mobileone.util.tables import chain_text, threads_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["PALETTE", "ink_color", "new_axes", "plot_errors", "plot_latencies", "plot_profile"]
__all__ += ["figure_format", "plot_roofline", "require_matplotlib", "save_demo_figure"]
__all__ += ["save_figure"]

# The Okabe-Ito colours (told apart by the colour-blind) that stand out from white and from black.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_MAX_STEPS = 25
Rows = Sequence[Any]
OTHER = "other"


def require_matplotlib() -> None:
    """ImportError that names the extra, unless matplotlib can be imported."""
    try:
        importlib.import_module("matplotlib")
    except ImportError as error:
        raise ImportError("plots need matplotlib: pip install 'mobileone[plot]'") from error


def new_axes(width: float, height: float) -> Axes:
    """Axes of a new figure of the given size in inches."""
    require_matplotlib()
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def plot_latencies(rows: Rows, title: str, ax: Axes | None = None) -> Axes:
    """One line per row: box from p10 to p90, minimum (dot), median (bar) and reach to p99.

    Rows have label, form, min_ms, p10_ms, median_ms, p90_ms and p99_ms.
    """
    if ax is None:
        ax = new_axes(8.0, 1.4 + 0.55 * len(rows))
    ink = ink_color()
    for y, row in enumerate(rows):
        color = PALETTE[y % len(PALETTE)]
        ax.plot([row.min_ms, row.p99_ms], [y, y], color=color, linewidth=1.2, zorder=1)
        ax.barh(y, row.p90_ms - row.p10_ms, 0.5, row.p10_ms, color=color, alpha=0.75, zorder=2)
        ax.plot(row.min_ms, y, "o", color=color, markersize=7, zorder=3)
        ax.plot([row.median_ms] * 2, [y - 0.25, y + 0.25], color=ink, linewidth=2, zorder=4)
        numbers = f"min {row.min_ms:.3g}, median {row.median_ms:.3g} ms"
        place: dict[str, Any] = {"textcoords": "offset points", "va": "center"}
        ax.annotate(numbers, (row.p99_ms, y), (6, 0), fontsize="small", **place)
    names = [r.label if r.form in r.label else f"{r.label} ({r.form})" for r in rows]
    ax.set_yticks(range(len(rows)), names)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    # Room on the right for the numbers of the slowest model.
    ax.set_xlim(0, 1.45 * max(row.p99_ms for row in rows))
    ax.set_xlabel("latency (ms): dot = minimum, box = p10 to p90, bar = median, line to p99")
    ax.set_title(title)
    return ax


def plot_profile(rows: Rows, title: str, ax: Axes | None = None) -> Axes:
    """The slowest steps in execution order, coloured by kind; the rest is summed up in one bar.

    Rows have name, kind and time_us.
    """
    slowest = set(np.argsort([-row.time_us for row in rows])[:_MAX_STEPS].tolist())
    shown = [row for i, row in enumerate(rows) if i in slowest]
    rest = [row for i, row in enumerate(rows) if i not in slowest]
    bars: list[tuple[str, float, str]] = [
        (chain_text(row.name), row.time_us, chain_text(row.kind)) for row in shown
    ]
    if rest:
        bars.append((f"{len(rest)} other steps", sum(row.time_us for row in rest), OTHER))
    styles = _kind_styles([kind for _, _, kind in bars])
    # Empty rows below the bars, for the legend.
    rows_of_legend = 1 + 0.8 * len(styles)
    if ax is None:
        ax = new_axes(8.0, 1.2 + 0.28 * (len(bars) + rows_of_legend))
    for kind, style in styles.items():
        chosen = [(y, time) for y, (_, time, k) in enumerate(bars) if k == kind]
        ax.barh([y for y, _ in chosen], [time for _, time in chosen], label=kind, **style)
    # What every fused convolution is called says nothing.
    names = [name.replace(".reparam_conv", "") for name, _, _ in bars]
    ax.set_yticks(range(len(bars)), names, fontsize="small")
    ax.set_ylim(len(bars) - 0.4 + rows_of_legend, -0.6)
    ax.set_xlabel("time (µs)")
    ax.set_title(title)
    ax.legend(fontsize="small", loc="lower right")
    return ax


def plot_roofline(profile: Any, bandwidths: Mapping[str, float], ax: Axes | None = None) -> Axes:
    """Every step's speed over its arithmetic intensity, below the limits of the machine.

    ``profile`` has label, threads, peak_gflops, and rows with name, kind, macs, bytes, gflops and
    percent.
    Williams, Waterman, Patterson, "Roofline", CACM 2009. ``bandwidths`` maps the names of slanted
    limits ("memory", "L2") to GB/s; the flat limit is the profile's measured peak. A marker's area
    grows with the step's time. ValueError if no step multiplies, or without a bandwidth.
    """
    require_matplotlib()
    from matplotlib.collections import PathCollection

    rows = [row for row in profile.rows if row.gflops is not None and row.bytes > 0]
    if not rows or not bandwidths:
        found = f"{len(rows)} steps that multiply and {len(bandwidths)} bandwidths"
        raise ValueError(f"profile and bandwidths have {found}; expected some of both")
    if ax is None:
        ax = new_axes(8.0, 4.8)
    intensity = {row.name: 2 * row.macs / row.bytes for row in rows}
    left, right = min(intensity.values()) / 2, max(intensity.values()) * 2
    styles = _kind_styles([row.kind for row in rows])
    for (kind, style), marker in zip(styles.items(), "osD^vPX*" * len(styles), strict=False):
        chosen = [row for row in rows if row.kind == kind]
        ax.scatter(
            [intensity[row.name] for row in chosen],
            [row.gflops or 0.0 for row in chosen],
            [12 + 25 * row.percent for row in chosen],
            color=style["color"], marker=marker, alpha=0.7, linewidth=0, label=kind, zorder=3,
        )  # fmt: skip
    x = np.geomspace(left, right, 200)
    for (name, speed), dashes in zip(bandwidths.items(), ("--", ":", "-.") * 9, strict=False):
        roof = np.minimum(x * speed, profile.peak_gflops or np.inf)
        label = f"{name}: {speed:.3g} GB/s"
        ax.plot(x, roof, dashes, color=ink_color(), linewidth=1.3, label=label)
    if profile.peak_gflops:
        ax.axhline(profile.peak_gflops, color=ink_color(), linewidth=1.3)
        peak = f"peak of multiply-adds: {profile.peak_gflops:.0f} GFLOP/s"
        ax.annotate(peak, (left, profile.peak_gflops), (4, 4), textcoords="offset points")
    ax.set(xscale="log", yscale="log", xlim=(left, right))
    ax.set_xlabel("arithmetic intensity (FLOP per byte read or written)")
    ax.set_ylabel("speed (GFLOP/s)")
    ax.set_title(f"{profile.label}, {threads_text(profile.threads)}; area: share of the time")
    for handle in ax.legend(fontsize="small", loc="lower right").legend_handles:
        if isinstance(handle, PathCollection):
            handle.set_sizes([40])
    return ax


def plot_errors(
    names: Sequence[str], errors: Sequence[float], bounds: Sequence[float], ax: Axes | None = None
) -> Axes:
    """Error of each stage (dot) beside its rounding bound (bar), on a logarithmic axis."""
    if ax is None:
        ax = new_axes(8.0, 1.2 + 0.3 * len(names))
    rows = range(len(names))
    # An error of zero has no logarithm: it is drawn at the left edge.
    edge = min(value for value in (*errors, *bounds) if value > 0) / 10
    ax.hlines(rows, edge, bounds, color="gray", linewidth=1)
    ax.plot(bounds, rows, "|", color=PALETTE[1], markersize=14, markeredgewidth=3)
    ax.plot([max(e, edge) for e in errors], rows, "o", color=PALETTE[0])
    ax.set_xscale("log")
    ax.set_yticks(rows, names)
    ax.invert_yaxis()
    ax.margins(y=0.12)
    ax.set_xlabel("largest absolute difference: dot = found, bar = what rounding explains")
    ax.set_title("before against after re-parameterization")
    return ax


def save_demo_figure(
    path: str, pixels: Any, caption: str, draw: Sequence[Callable[[Axes], Any]]
) -> None:
    """The photo on the left, one panel per function of ``draw`` on the right, saved to ``path``."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11.0, 2.8 * len(draw)), layout="constrained")
    grid = figure.add_gridspec(len(draw), 2, width_ratios=(1, 2.4))
    photo = figure.add_subplot(grid[:, 0])
    photo.imshow(pixels)
    photo.set_axis_off()
    photo.set_title(caption, fontsize="small", wrap=True)
    for row, function in enumerate(draw):
        function(figure.add_subplot(grid[row, 1]))
    save_figure(figure, path, dpi=120)


def save_figure(figure: Any, path: str | os.PathLike[str], **how: Any) -> None:
    """Write a figure in the format that the path's suffix names, whole or not at all."""
    with whole_file(path) as file:
        figure.savefig(file, format=figure_format(path), **how)


def figure_format(path: str | os.PathLike[str]) -> str:
    """The format that a path's suffix names: png without one. ValueError for an unknown one."""
    from matplotlib.backend_bases import FigureCanvasBase

    suffix = os.path.splitext(path)[1].removeprefix(".").lower()
    known = FigureCanvasBase.get_supported_filetypes()
    if suffix and suffix not in known:
        raise ValueError(f"{os.fspath(path)}: no figure is a .{suffix}; expected {sorted(known)}")
    return suffix or "png"


def _kind_styles(kinds: list[str]) -> dict[str, dict[str, Any]]:
    """A colour per kind; when the colours are used up they come again, hatched."""
    styles: dict[str, dict[str, Any]] = {}
    for i, kind in enumerate(dict.fromkeys(kinds)):
        hatch = ("", "///", "...", "xxx")[i // len(PALETTE) % 4]
        styles[kind] = {"color": PALETTE[i % len(PALETTE)], "hatch": hatch}
    if OTHER in styles:
        styles[OTHER] = {"color": "gray"}
    return styles


def ink_color() -> Any:
    """The colour of text in the current style: dark on light, light on dark."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]

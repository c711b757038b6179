"""Plots: points where the counts put them, limits where they belong, legends beside the bars."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from mobileone.figures.plots import plot_roofline
from mobileone.measure.profile_result import Profile

matplotlib = pytest.importorskip("matplotlib")


@pytest.fixture(autouse=True)
def _close_figures() -> Iterator[None]:
    matplotlib.use("Agg")
    yield
    from matplotlib import pyplot

    pyplot.close("all")


def profile(peak: float | None = 100.0, macs: int = 500_000) -> Profile:
    conv = {"name": "stage0.reparam_conv", "kind": "Conv2d", "implementation": "x"}
    pool = {"name": "gap", "kind": "GlobalAvgPool", "implementation": "x"}
    steps = [
        conv | {"macs": macs, "bytes": 50_000, "time_ns": 20_000},
        pool | {"macs": 0, "bytes": 10, "time_ns": 1_000},
    ]
    protocol = {"label": "net", "threads": 1, "form": "inference"}
    return Profile(steps, 22_000, protocol, peak, {})


def test_roofline_has_points_and_limits() -> None:
    ax = plot_roofline(profile(), {"memory": 4.0})
    # 1 MFLOP over 50 kB in 20 us: 20 FLOP per byte at 50 GFLOP/s. The pooling multiplies nothing.
    (points,) = (collection.get_offsets() for collection in ax.collections)
    np.testing.assert_allclose(points, [[20, 50]])
    roof, peak = ax.lines
    x, y = roof.get_data()
    np.testing.assert_allclose(y, np.minimum(4.0 * x, 100.0))
    assert set(peak.get_ydata()) == {100.0}


def test_roofline_without_a_measured_peak_is_limited_by_bandwidth() -> None:
    ax = plot_roofline(profile(peak=None), {"L2": 30.0, "memory": 4.0})
    for line, speed in zip(ax.lines, (30.0, 4.0), strict=True):
        x, y = line.get_data()
        np.testing.assert_allclose(y, speed * x)


@pytest.mark.parametrize(("macs", "bandwidths"), [(0, {"L2": 30.0}), (500_000, {})])
def test_roofline_refuses_what_has_nothing_to_draw(macs: int, bandwidths: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="expected some of both"):
        plot_roofline(profile(macs=macs), bandwidths)


def test_legend_of_a_profile_covers_no_bar() -> None:
    ax = profile().plot()
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["stage0", "gap", "overhead"]
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    assert len(ax.patches) == 3
    assert not any(legend.overlaps(bar.get_window_extent()) for bar in ax.patches)

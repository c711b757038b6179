"""Where every step of a fused network stands below the limits of one core.

    python -m benchmarks.roofline --model mobileone_s0 --out docs/roofline.png --cpu 3

Steps come from `mobileone.profile`, the limits from the engine's own measurement of this machine:
multiply-adds in registers, reads from L2, reads from beyond it. Prints both as Markdown.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import mobileone
from mobileone._core import isa, measured_machine
from mobileone.figures.plots import new_axes, plot_roofline, require_matplotlib

if TYPE_CHECKING:
    from mobileone.measure.profile_result import Profile
    from mobileone.measure.workload import Source

INK = "#808080"  # reads on white and on black


def limits() -> dict[str, float]:
    """Read bandwidths of one core in GB/s, by name. RuntimeError on a CPU without kernels."""
    machine = measured_machine()
    if not machine:
        raise RuntimeError("this CPU has no AVX2 and FMA; expected both")
    return {
        "reads from L2": machine["l2_gbytes_per_second"],
        "reads from beyond L2": machine["far_gbytes_per_second"],
    }


def profile(model: Source, runs: int, attempts: int) -> Profile:
    """The fastest of several profiles, one thread, batch 1: others can only make one slower.

    RuntimeError if a step is not a fused kernel's.
    """
    results = [mobileone.profile(model, threads=1, runs=runs) for _ in range(attempts)]
    fastest = min(results, key=lambda result: result.wall_us)
    others = [r.name for r in fastest.rows[:-1] if not r.implementation.startswith("fused")]
    if others:
        raise RuntimeError(f"{model}: steps {others} are not fused; expected none")
    return fastest


@contextmanager
def ink() -> Iterator[None]:
    """Text and lines that stand out from a light and from a dark page."""
    import matplotlib as mpl

    keys = ("text.color", "axes.labelcolor", "axes.edgecolor", "axes.titlecolor", "xtick.color")
    style: dict[Any, Any] = dict.fromkeys((*keys, "ytick.color"), INK)
    with mpl.rc_context(style | {"legend.framealpha": 0.0}):
        yield


def draw(result: Profile, bandwidths: dict[str, float], path: str) -> None:
    """Write the figure with a transparent background."""
    require_matplotlib()
    with ink():
        ax = plot_roofline(result, bandwidths, new_axes(8.0, 4.8))
        ax.patch.set_alpha(0.0)
        ax.figure.canvas.print_figure(path, dpi=140, facecolor="none")


def table(result: Profile, bandwidths: dict[str, float]) -> str:
    """The limits and the steps as Markdown."""
    cpu = result.fingerprint["cpu"]["model"]
    names = ", ".join(f"{name} {speed:.0f} GB/s" for name, speed in bandwidths.items())
    where = f"{result.label} on {cpu}, {isa()}, one thread"
    peak = f"Peak {result.peak_gflops or 0.0:.0f} GFLOP/s"
    lines = [
        f"{where}: {result.wall_us / 1e3:.3f} ms. {peak}; {names}.",
        "",
        "| step | kernel | FLOP/byte | GFLOP/s | % of peak | % of time |",
        "|---|---|---|---|---|---|",
    ]
    for row in result.rows:
        if row.gflops is None or row.bytes == 0:
            continue
        lines.append(
            f"| {row.name} | {row.implementation} | {2 * row.macs / row.bytes:.1f} "
            f"| {row.gflops:.0f} | {row.peak_percent or 0.0:.0f} | {row.percent:.1f} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Roofline of a fused network on one core.")
    parser.add_argument("--model", default="mobileone_s0", help="variant or checkpoint")
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--attempts", type=int, default=5, help="profiles; the fastest counts")
    parser.add_argument("--cpu", type=int, help="the core to run on; default: wherever")
    parser.add_argument("--out", default="roofline.png")
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    result, bandwidths = profile(options.model, options.runs, options.attempts), limits()
    draw(result, bandwidths, options.out)
    print(table(result, bandwidths))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""How far every step of a fused MobileOne is from what one core can do at all.

    python -m benchmarks.floor --model mobileone_s0 --cpu 1

Markdown, a row per step or per run of equal ones: conventional multiply-adds and those that its
algorithm executes; KiB of packed weights (read once a picture, from L3 or memory: no network's fit
L2) and of the maps that it reads and writes; the time that these take at the least (executed
multiply-adds at the peak, weights as fast as the core reads beyond L2); the measured time, of the
fastest of several profiles; and the part of it that the larger of the two explains.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

import mobileone

from benchmarks.roofline import limits, profile

if TYPE_CHECKING:
    from mobileone.measure.profile_result import Profile, ProfileRow

# Of a 1×1 convolution's products, those that an implementation executes; and its weights over the
# conventional ones: sums of quarters are kept beside them (docs/performance.md).
_PRODUCTS = {"direct": 1.0, "strassen": 7 / 8, "levels=2": 49 / 64}
_WEIGHTS = {"direct": 1.0, "strassen": 7 / 4, "levels=2": 49 / 16}
# Of a stem's products, those by windows of 2 × 2 outputs.
_BY_WINDOWS = 26 / 36

_HEADER = (
    "| steps | last layer | kernel | conventional / executed, M | weights / maps, KiB "
    "| least µs: arithmetic / weights | measured µs | explained |"
)


class Floor(NamedTuple):
    """Of a step; times in µs."""

    row: ProfileRow
    executed: float
    weight_bytes: float
    map_bytes: int
    arithmetic_us: float
    stream_us: float

    @property
    def least_us(self) -> float:
        """One hides the other at best."""
        return max(self.arithmetic_us, self.stream_us)


def floors(model: mobileone.Model, result: Profile, far_gbytes: float) -> list[Floor]:
    """A floor per step of a profile of the model's, one thread, batch 1."""
    peak = result.peak_gflops
    if peak is None:
        raise RuntimeError("this CPU has no AVX2 and FMA; expected both")
    shapes = model.graph.shapes(result.rows[0].input_shapes[0])
    layers_by_name = {
        node["name"]: node for node in model.graph.nodes if node["kind"] in ("Conv2d", "Linear")
    }
    made = []
    for row in result.rows:
        if not row.macs:
            continue
        words = row.implementation.replace(",", "").split()
        algorithm = next((word for word in reversed(words) if word in _PRODUCTS), "direct")
        names = row.name.split(" > ")
        layers = [layers_by_name[name] for name in names if name in layers_by_name]
        stem = _BY_WINDOWS if "windows" in words else 1.0
        executed = sum(_products(node, shapes, algorithm, stem) for node in layers)
        weights = 4.0 * sum(_weights(node, shapes, algorithm) for node in layers)
        maps = 4 * sum(math.prod(shape) for shape in (*row.input_shapes, row.output_shape))
        times = (2e-3 * executed / peak, 1e-3 * weights / far_gbytes)
        made.append(Floor(row, executed, weights, maps, *times))
    return made


def _is_projection(node: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> bool:
    """Whether it is a 1×1 convolution of more than what a squeeze-and-excite pooled."""
    attributes = node["attributes"]
    return (
        node["kind"] == "Conv2d"
        and attributes["groups"] == math.prod(attributes["kernel_size"]) == 1
        and math.prod(shapes[node["name"]][2:]) > 1
    )


def _conventional_weights(node: dict[str, Any]) -> int:
    a = node["attributes"]
    if node["kind"] == "Linear":
        return int(a["in_features"] * a["out_features"])
    window = math.prod(a["kernel_size"])
    return int(a["in_channels"] // a["groups"] * a["out_channels"] * window)


def _products(
    node: dict[str, Any], shapes: dict[str, tuple[int, ...]], algorithm: str, stem: float
) -> float:
    pixels = math.prod(shapes[node["name"]][2:])
    share = 1.0
    if _is_projection(node, shapes):
        share = _PRODUCTS[algorithm]
    elif node["kind"] == "Conv2d" and math.prod(node["attributes"]["kernel_size"]) > 1:
        share = stem if node["attributes"]["groups"] == 1 else 1.0
    return share * pixels * _conventional_weights(node)


def _weights(node: dict[str, Any], shapes: dict[str, tuple[int, ...]], algorithm: str) -> float:
    share = _WEIGHTS[algorithm] if _is_projection(node, shapes) else 1.0
    return share * _conventional_weights(node)


def table(result: Profile, floors: Sequence[Floor], bandwidths: dict[str, float]) -> str:
    """The steps as Markdown, equal neighbours in one row, each figure a step's mean."""
    speeds = ", ".join(f"{name} {speed:.0f} GB/s" for name, speed in bandwidths.items())
    where = f"{result.label}: {result.wall_us / 1e3:.3f} ms"
    lines = [
        f"{where}, peak {result.peak_gflops:.0f} GFLOP/s, {speeds}.",
        "",
        _HEADER,
        "|---|---|---|---|---|---|---|---|",
    ]
    for _, equal in groupby(floors, lambda f: (f.row.implementation, f.row.macs, f.map_bytes)):
        lines.append(_line(list(equal)))
    macs = sum(f.row.macs for f in floors) / 1e6
    least = sum(f.least_us for f in floors)
    executed, weights = (sum(f[i] for f in floors) for i in (1, 2))
    lines.append(
        f"| {len(floors)} | | | {macs:.1f} / {executed / 1e6:.1f} | {weights / 1024:.0f} / "
        f"| {least:.0f} | {result.wall_us:.0f} | {100 * least / result.wall_us:.0f} % |"
    )
    return "\n".join(lines)


def _line(equal: list[Floor]) -> str:
    first = equal[0]
    time_us = sum(f.row.time_us for f in equal) / len(equal)
    return (
        f"| {len(equal)} | {equal[-1].row.name.split(' > ')[-1]} "
        f"| {first.row.implementation.removeprefix('fused ')} "
        f"| {first.row.macs / 1e6:.2f} / {first.executed / 1e6:.2f} "
        f"| {first.weight_bytes / 1024:.0f} / {first.map_bytes / 1024:.0f} "
        f"| {first.arithmetic_us:.1f} / {first.stream_us:.1f} | {time_us:.1f} "
        f"| {100 * first.least_us / time_us:.0f} % |"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="mobileone_s0", help="variant of MobileOne")
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--attempts", type=int, default=5, help="profiles; the fastest counts")
    parser.add_argument("--cpu", type=int, help="the core to run on; default: wherever")
    options = parser.parse_args(arguments)
    if options.cpu is not None:
        os.sched_setaffinity(0, {options.cpu})
    model = mobileone.reparameterize(mobileone.create_model(options.model, seed=0))
    result, bandwidths = profile(model, options.runs, options.attempts), limits()
    rows = floors(model, result, bandwidths["reads from beyond L2"])
    print(table(result, rows, bandwidths))
    return 0


if __name__ == "__main__":
    sys.exit(main())

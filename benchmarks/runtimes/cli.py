"""The command line of `python -m benchmarks.runtimes`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from mobileone import CheckpointError, list_models
from mobileone.util.tables import Table

from benchmarks.runtimes.compare import compare
from benchmarks.runtimes.registry import DEFAULT, ENGINES
from benchmarks.runtimes.report import Report, to_markdown

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0, 1 for a failure, 2 for bad arguments, 130 for Ctrl-C."""
    arguments = vars(_parser().parse_args(argv))
    outputs = {name: arguments.pop(name) for name in ("json", "plot", "markdown")}
    try:
        report = compare(**arguments, say=_say)
    except (CheckpointError, OSError) as error:
        return _fail(error, 1)
    except ValueError as error:
        return _fail(error, 2)
    _publish(report, **outputs)
    if report.interrupted:
        return 130
    return 1 if report.failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.runtimes",
        description="This engine and rival runtimes: MobileOne, MobileViT, on this CPU.",
        epilog="engines: " + ", ".join(engine.name for engine in ENGINES),
    )
    add = parser.add_argument
    models_help = (
        f"checkpoints, digits, or names, of {', '.join(list_models())}; default: mobileone_s0"
    )
    add("--models", nargs="+", default=["mobileone_s0"], metavar="MODEL", help=models_help)
    add("--threads", nargs="+", type=int, default=[1], metavar="N", help="default: 1")
    add("--batches", "--batch", nargs="+", type=int, default=[1], metavar="N", help="default: 1")
    add("--size", type=int, help="height and width of the images; default: the model's own")
    engines_help = "default: all but mobileone-onednn, mobileone-plan, mnn and torch-compile"
    add("--engines", nargs="+", default=list(DEFAULT), metavar="ENGINE", help=engines_help)
    add("--isa", choices=["avx2", "avx512"], help="hold the engines to it that can be held")
    add("--cpus", nargs="+", type=int, metavar="CPU", help="choose among these CPUs")
    busy_help = "keep N of the CPUs of every count above N busy with another process"
    add("--busy", type=int, default=0, metavar="N", help=busy_help)
    pause_help = "let N ms pass between two runs; several: one table each"
    add("--pause", nargs="+", type=float, default=[0.0], metavar="N", help=pause_help)
    beside_help = "run this engine before every run, in the same process"
    add("--beside", choices=[engine.name for engine in ENGINES], help=beside_help)
    add("--quick", action="store_true", help="fewer and shorter rounds")
    add("--cold-start", action="store_true", help="process start to first result, and its memory")
    add("--seed", type=int, default=0, help="of weights and input")
    dtype_help = "of products; engines that cannot be set to it are left out"
    add("--dtype", default="float32", choices=["float32", "bfloat16", "int8"], help=dtype_help)
    add("--folder", metavar="DIR", help="keep the written networks, or take them from there")
    add("--json", metavar="FILE", help="write every sample and setting")
    add("--plot", metavar="FILE", help="write a figure (needs matplotlib)")
    add("--markdown", action="store_true", help="print GitHub tables")
    return parser


def _publish(report: Report, json: str | None, plot: str | None, markdown: bool) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print(report.to_text(to_markdown if markdown else Table.to_text))
    if json is not None:
        report.to_json(json)
    if plot is not None and report.cases:
        figure: Any = report.plot().figure
        figure.savefig(plot, dpi=150)


def _fail(error: Exception, code: int) -> int:
    print(f"benchmarks.runtimes: error: {error}", file=sys.stderr)
    return code


def _say(text: str) -> None:
    """Progress on a terminal's stderr, one line that is overwritten."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

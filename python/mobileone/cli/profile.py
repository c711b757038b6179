"""`mobileone profile`: the time of every step of a network."""

from __future__ import annotations

import argparse

from mobileone.cli.loading import open_sources
from mobileone.cli.options import MODEL_HELP, add_run_options, check_outputs, run_options
from mobileone.measure.profiling import profile

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="timed runs")
    parser.add_argument("--trace", metavar="FILE", help="save a trace for ui.perfetto.dev")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and saves; the exit code."""
    check_outputs(arguments.trace, arguments.json)
    (model,) = open_sources([arguments.model], arguments)
    result = profile(model, runs=arguments.runs, **run_options(arguments))
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    if arguments.trace:
        result.to_chrome_trace(arguments.trace)
    return 0

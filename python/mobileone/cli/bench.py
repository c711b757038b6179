"""`mobileone bench`: latencies of networks, interleaved."""

from __future__ import annotations

import argparse
from typing import Any

from mobileone.cli.loading import open_source, open_sources
from mobileone.cli.options import MODEL_HELP, add_run_options, check_outputs, run_options
from mobileone.figures.plots import figure_format, require_matplotlib, save_figure
from mobileone.measure.benchmarking import benchmark
from mobileone.model import Model, reparameterize

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("models", metavar="MODEL", nargs="+", help=MODEL_HELP)
    parser.add_argument("--both-forms", action="store_true", help="time the train-time form too")
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="timed runs of each")
    parser.add_argument("--warmup", type=int, default=50, metavar="N", help="runs before these")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="that take turns")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="time limit for all runs")
    parser.add_argument("--plot", metavar="FILE", help="save a figure; needs matplotlib")
    add_run_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measures, prints and saves; the exit code."""
    # Rather now than after the measurement.
    if arguments.plot:
        require_matplotlib()
        figure_format(arguments.plot)
    check_outputs(arguments.plot, arguments.json)
    models: Any = open_sources(arguments.models, arguments)
    if arguments.both_forms:
        models = [model for source in arguments.models for model in _both_forms(source, arguments)]
    result = benchmark(
        models,
        runs=arguments.runs,
        warmup=arguments.warmup,
        rounds=arguments.rounds,
        budget_s=arguments.budget,
        **run_options(arguments),
    )
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    if arguments.plot:
        figure: Any = result.plot().figure
        save_figure(figure, arguments.plot)
    return 130 if result.interrupted else 0


def _both_forms(source: str, arguments: argparse.Namespace) -> list[Model]:
    model = open_source(source, arguments, arguments.seed)
    return [model] if model.form == "inference" else [model, reparameterize(model)]

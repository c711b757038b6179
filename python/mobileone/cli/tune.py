"""`mobileone tune`: the steps of a network are measured, and how they run best is kept."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from mobileone.cli.loading import add_load_options, open_source
from mobileone.cli.options import MODEL_HELP, add_plan_options, plan_options
from mobileone.model import Model, reparameterize
from mobileone.network.inputs import InputSize, input_shape
from mobileone.network.tune_cache import cache_path
from mobileone.util.progress import StatusLine, bar
from mobileone.util.tables import Column, Table, chain_text

__all__ = ["add_options", "run", "run_tune"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help=MODEL_HELP)
    parser.add_argument("--budget", type=float, metavar="S", help="seconds; default: 1.6 to 5")
    add_plan_options(parser)
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Measures, and prints what runs how; the exit code."""
    model = open_source(arguments.model, arguments)
    run_tune(model, budget_s=arguments.budget, show=print, **plan_options(arguments))
    return 0


def run_tune(
    model: Model,
    *,
    input_size: InputSize,
    batch_size: int,
    threads: int | None,
    budget_s: float | None,
    show: Callable[[str], None],
) -> None:
    """Tune the inference form for a shape; shows what runs how.

    Args:
        model: in either form.
        input_size, batch_size, threads: of the plan.
        budget_s: what measuring may take; None: 1.6 to 5 s.
        show: is given the table.
    """
    fused = reparameterize(model)
    shape = input_shape(fused.bundle, input_size, batch_size)
    how: dict[str, Any] = {"tune_budget_s": budget_s, "progress": _bar()}
    compiled = fused.compile(shape, threads=threads, tune="measure", **how)
    rows = [
        (chain_text(step["name"]), str(step["output_shape"]), step["implementation"])
        for step in compiled.steps
    ]
    titles = ("name", "output", "implementation")
    path = cache_path()
    note = f"kept in {path}" if path is not None else "kept nowhere: MOBILEONE_TUNE_CACHE is off"
    title = f"{fused.name}, input {shape}, {compiled.threads} threads"
    show(Table(title, [Column(one, "left") for one in titles], rows, [note]).to_text())


def _bar() -> Callable[[float], None] | None:
    """A bar on stderr, in terminals only."""
    line = StatusLine()
    if not line.moves:
        return None

    def show(share: float) -> None:
        if share >= 1:
            line.close()
        elif line.due:
            line.write(f"tuning {bar(share)} {share:4.0%}")

    return show

"""`mobileone predict`: what images show."""

from __future__ import annotations

import argparse
from typing import Any

from mobileone.cli.loading import add_load_options, load_options
from mobileone.cli.summary import prediction_table
from mobileone.model import load, reparameterize

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("model", metavar="MODEL", help="a checkpoint file")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="an image file")
    parser.add_argument("--topk", type=int, default=5, metavar="K", help="classes per image")
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table per image; the exit code."""
    model = reparameterize(load(arguments.model, **load_options(arguments)))
    for path in arguments.images:
        best: Any = model.predict(path, arguments.topk)
        table = prediction_table(path, best)
        print(table.to_text(), flush=True)
    return 0

"""`mobileone info`: a network, or this installation and machine."""

from __future__ import annotations

import argparse

from mobileone.cli.loading import add_load_options, open_source
from mobileone.cli.options import MODEL_HELP
from mobileone.cli.summary import model_table
from mobileone.util.machine.environment import show_config

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("source", metavar="SRC", nargs="?", help=MODEL_HELP)
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints a table; the exit code."""
    if arguments.source is None:
        print(repr(show_config()))
    else:
        model = open_source(arguments.source, arguments)
        print(model_table(arguments.source, model).to_text())
    return 0

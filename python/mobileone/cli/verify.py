"""`mobileone verify`: whether two networks are the same function."""

from __future__ import annotations

import argparse

from mobileone.cli.loading import add_load_options, open_source
from mobileone.cli.options import MODEL_HELP
from mobileone.model import reparameterize
from mobileone.verification.stages import verify

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("reference", metavar="A", help=MODEL_HELP)
    parser.add_argument("candidate", metavar="B", nargs="?", help="default: A, reparameterized")
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Prints the proof; the exit code."""
    reference = open_source(arguments.reference, arguments)
    if arguments.candidate is None:
        candidate = reparameterize(reference)
    else:
        candidate = open_source(arguments.candidate, arguments)
    equivalence = verify(reference, candidate)
    print(repr(equivalence))
    return 0 if equivalence else 1

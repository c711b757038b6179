"""Options that several commands share, and what they mean as arguments."""

from __future__ import annotations

import argparse
import re
from typing import Any

from mobileone.cli.loading import add_load_options
from mobileone.util.files import check_writable

__all__ = ["MODEL_HELP", "add_plan_options", "add_run_options", "check_outputs", "plan_options"]
__all__ += ["run_options"]

MODEL_HELP = "a checkpoint file, or the name of a variant for seeded weights"


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Of commands that time networks."""
    add_plan_options(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and images")
    parser.add_argument("--json", metavar="FILE", help="save everything as JSON")
    add_load_options(parser)


def run_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of `benchmark` and `profile`."""
    return {**plan_options(arguments), "seed": arguments.seed}


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """Of commands that compile one plan."""
    parser.add_argument("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images in a run")
    parser.add_argument("--input-size", type=_size, metavar="N|HxW", help="default: the model's")


def plan_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """What a plan is compiled for."""
    names = ("threads", "batch_size", "input_size")
    return {name: getattr(arguments, name) for name in names}


def check_outputs(*paths: str | None) -> None:
    """Raise OSError before the work where a file cannot be written after it."""
    for path in paths:
        if path is not None:
            check_writable(path)


def _size(text: str) -> int | tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected N or HEIGHTxWIDTH")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))

"""`mobileone quantize`: an int8 file of a checkpoint, and what that costs."""

from __future__ import annotations

import argparse
from typing import Any

from mobileone.checkpoint.export import kind_of_file
from mobileone.cli.loading import add_load_options, open_source
from mobileone.model import quantize
from mobileone.quantization.observers import OBSERVERS
from mobileone.quantization.settings import CURES
from mobileone.util.files import check_writable

__all__ = ["add_options", "run"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a checkpoint file, or the name of a variant")
    add("--data", required=True, metavar="FOLDER", help="pictures to calibrate on, or digits")
    add("--held-out", metavar="FOLDER", help="other pictures, to judge the result by")
    add("-o", "--out", required=True, metavar="FILE", help="where to; .safetensors, .onnx, ...")
    add("--observer", choices=OBSERVERS, default="squared_error", help="what limits a range")
    add("--without", choices=CURES, action="append", default=[], help="leave out a cure")
    add("--float-budget", type=float, default=0.0, metavar="SHARE", help="of multiply-adds")
    add(
        "--linear-layers",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="those of transformers, too",
    )
    add("--images", type=int, default=128, metavar="N", help="how many pictures are used")
    add("--ablation", action="store_true", help="say what each cure brings")
    add("--json", metavar="FILE", help="save the report as JSON")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Quantizes, saves, and prints the report; the exit code."""
    for path in filter(None, (arguments.out, arguments.json)):
        check_writable(path)
    if not arguments.out.lower().endswith(".onnx"):
        kind_of_file(arguments.out)  # rather now than after the work
    off: dict[str, Any] = dict.fromkeys(arguments.without, False)
    model = quantize(
        open_source(arguments.model, arguments),
        arguments.data,
        held_out=arguments.held_out,
        observer=arguments.observer,
        float_budget=arguments.float_budget,
        linear_layers=arguments.linear_layers,
        images=arguments.images,
        ablation=arguments.ablation,
        progress=False if arguments.quiet else None,
        **off,
    )
    model.save(arguments.out)
    report = model.quantization
    assert report is not None
    print(repr(report))
    if arguments.json:
        report.to_json(arguments.json)
    return 0

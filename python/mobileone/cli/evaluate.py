"""`mobileone evaluate`: how good a network is on a folder of pictures."""

from __future__ import annotations

import argparse
from typing import Any

from mobileone.cli.loading import add_load_options, load_options
from mobileone.evaluation.presets import PRESETS
from mobileone.model import load, reparameterize
from mobileone.util.files import check_writable

__all__ = ["add_options", "run"]


# Of all metrics.
_COMMON = ("on_error", "batch_size", "workers", "threads")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("model", metavar="MODEL", help="a checkpoint file, or an .onnx file for ONNX Runtime")
    text = "a folder of pictures, tar or parquet files, or digits; COCO's, VOC's or ADE20k's folder"
    add("data", metavar="DATA", help=text)
    metrics = ("classification", "coco", "miou")
    add("--metrics", choices=metrics, default=metrics[0], help="of detectors, of segmenters")
    add("--pictures", metavar="FOLDER", help="of a .json file's, or of a folder's label maps")
    add("--against", metavar="MODEL", help="a second model, which sees the same pictures")
    text = "what the pictures show, where folders do not say: val.txt, LOC_val_solution.csv, JSON"
    add("--labels", metavar="FILE", help=text)
    add("--preset", choices=tuple(PRESETS), help="what is special about a published data set")
    add("--upright", action="store_true", help="turn pictures as their EXIF data say")
    add("--scaled-decoding", action="store_true", help="decode large JPEG files at a fraction")
    add(
        "--on-error",
        choices=("skip", "raise"),
        default="skip",
        help="what to do about bad pictures",
    )
    add("--keep-form", action="store_true", help="run checkpoints in the form they have")
    add("--batch-size", type=int, default=32, metavar="N", help="pictures computed at a time")
    add("--workers", type=int, metavar="N", help="processes that decode")
    add("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    text = "by Ray: on the cluster of that address (auto: one that runs here); without one, its own"
    add("--ray", metavar="ADDRESS", nargs="?", const="", help=text)
    add("--results", metavar="FOLDER", help="keep results there, to go on from")
    add("--json", metavar="FILE", help="save the figures as JSON")
    add("--quiet", action="store_true", help="no progress on stderr")
    add_load_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Evaluates, and prints the figures; the exit code."""
    from mobileone.evaluation.verb import evaluate  # other commands start without it

    if arguments.json:
        check_writable(arguments.json)
    if arguments.metrics != "classification":
        return _run_task(arguments)
    if arguments.pictures is not None:
        raise ValueError("--pictures is given; expected none with --metrics classification")
    names = ("labels", "preset", "upright", "scaled_decoding", *_COMMON)
    result = evaluate(
        _model(arguments.model, arguments),
        arguments.data,
        against=None if arguments.against is None else _model(arguments.against, arguments),
        ray=arguments.ray if arguments.ray else arguments.ray is not None,
        results=arguments.results,
        progress=False if arguments.quiet else None,
        **{name: getattr(arguments, name) for name in names},
    )
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    return 130 if result.interrupted else 0


def _run_task(arguments: argparse.Namespace) -> int:
    """Of a detector or a segmenter; the exit code."""
    from mobileone.evaluation.verb import evaluate

    for name in ("against", "labels", "preset", "upright", "scaled_decoding", "ray", "results"):
        if getattr(arguments, name) not in (None, False):
            option = name.replace("_", "-")
            raise ValueError(f"--{option} is given; expected none with --metrics")
    data, pictures = arguments.data, arguments.pictures
    coco = arguments.metrics == "coco"
    if pictures is not None:
        data = (data, pictures) if coco else (pictures, data)
    how = {name: getattr(arguments, name) for name in _COMMON if coco or name != "batch_size"}
    how |= {"metrics": arguments.metrics, "progress": False if arguments.quiet else None}
    result = evaluate(_model(arguments.model, arguments), data, **how)
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    return 0


def _model(source: str, arguments: argparse.Namespace) -> Any:
    if source.lower().endswith(".onnx"):
        return source
    model = load(source, **load_options(arguments))
    return model if arguments.keep_form else reparameterize(model)

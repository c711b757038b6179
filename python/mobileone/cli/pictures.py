"""`mobileone detect` and `mobileone segment`: what pictures show, and where."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mobileone.cli.loading import add_load_options, load_options
from mobileone.data.overlay import png
from mobileone.model import load, reparameterize
from mobileone.util.files import whole_file

__all__ = ["add_detect_options", "add_segment_options", "run_detect", "run_segment"]

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")


def add_detect_options(parser: argparse.ArgumentParser) -> None:
    """The options of `detect`."""
    _add_options(parser)
    parser.add_argument("--score", type=float, default=0.3, metavar="P", help="least probability")
    parser.add_argument(
        "--overlap",
        type=float,
        default=0.5,
        metavar="IOU",
        help="largest IoU within a class",
    )
    add_load_options(parser)


def add_segment_options(parser: argparse.ArgumentParser) -> None:
    """The options of `segment`."""
    _add_options(parser)
    text = "pixels of the shorter side that the network sees"
    parser.add_argument("--size", type=int, metavar="N", help=text)
    add_load_options(parser)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", metavar="MODEL", help="a checkpoint file or folder")
    text = "a picture, or a folder of pictures"
    parser.add_argument("pictures", metavar="PICTURE", nargs="+", help=text)
    text = "where the drawn pictures go, as PNG files"
    parser.add_argument("--out", metavar="FOLDER", help=text)


def run_detect(arguments: argparse.Namespace) -> int:
    """Prints the objects of each picture; the exit code."""
    how = {"score": arguments.score, "overlap": arguments.overlap}
    return _run(arguments, "detect", how)


def run_segment(arguments: argparse.Namespace) -> int:
    """Prints the share of each class in each picture; the exit code."""
    return _run(arguments, "segment", {"size": arguments.size})


def _run(arguments: argparse.Namespace, verb: str, how: dict[str, Any]) -> int:
    paths = list(_pictures(arguments.pictures))
    names = _names(paths)
    model = reparameterize(load(arguments.model, **load_options(arguments)))
    if arguments.out:
        os.makedirs(arguments.out, exist_ok=True)
    for path, name in zip(paths, names, strict=True):
        result = getattr(model, verb)(path, **how)
        print(f"{path}: {result!r}", flush=True)
        if arguments.out:
            with whole_file(os.path.join(arguments.out, name)) as file:
                file.write(png(result.drawn()))
    return 0


def _pictures(given: Sequence[str]) -> Iterator[Path]:
    """Files as they are, and the pictures of folders, by name."""
    for name in given:
        path = Path(name)
        if not path.is_dir():
            yield path
            continue
        found = sorted(one for one in path.rglob("*") if one.suffix.lower() in _SUFFIXES)
        if not found:
            raise FileNotFoundError(f"{name}: no pictures there; expected {', '.join(_SUFFIXES)}")
        yield from found


def _names(paths: Sequence[Path]) -> list[str]:
    """A name for each drawn picture: its own, and a number where several have it."""
    counts: dict[str, int] = {}
    names = []
    for path in paths:
        count = counts[path.stem] = counts.get(path.stem, 0) + 1
        names.append(f"{path.stem}.png" if count == 1 else f"{path.stem}.{count}.png")
    return names

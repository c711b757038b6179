"""The command line: the public verbs, on the standard library alone.

Exit codes: 0 success; 1 failure (not equivalent, bad file, missing extra); 2 bad arguments;
130 interrupted.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from mobileone.cli import (
    bench,
    demo,
    evaluate,
    fuse,
    info,
    pictures,
    predict,
    profile,
    quantize,
    train,
    tune,
    verify,
)
from mobileone.data.preprocessing import ImageError
from mobileone.util.errors import CheckpointError
from mobileone.util.machine.threads import thread_count
from mobileone.util.version import SUMMARY, __version__

__all__ = ["main"]

_FAILURES = (
    CheckpointError,
    ImageError,
    OSError,
    ImportError,
    NotImplementedError,
    FloatingPointError,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code. Errors go to stderr in one line."""
    _print_anywhere()
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            thread_count(getattr(arguments, "threads", None))
            return int(arguments.command(arguments))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone; keep the interpreter from failing again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError as error:
        print(f"mobileone: error: out of memory: {error}", file=sys.stderr)
        return 1
    except _FAILURES as error:
        print(f"mobileone: error: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"mobileone: error: {error}", file=sys.stderr)
        return 2


# What an ASCII terminal shows for a letter of ours, one for one: tables stay aligned.
_ASCII = str.maketrans("Δ–…²×κσλθ", "d-~2xkslt")


def _print_anywhere() -> None:
    """Let text reach a terminal or file whose encoding lacks some of its letters."""

    def nearest(error: UnicodeError) -> tuple[str, int]:
        if not isinstance(error, UnicodeEncodeError):
            raise error
        text = error.object[error.start : error.end].translate(_ASCII)
        return text.encode("ascii", "replace").decode("ascii"), error.end

    codecs.register_error("mobileone.nearest", nearest)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="mobileone.nearest")


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"mobileone: warning: {message}", file=sys.stderr)


class _Command(NamedTuple):
    """Its name, what --help says of it, its options, and what runs it."""

    name: str
    text: str
    add_options: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


# In the order of --help.
_COMMANDS = (
    _Command(
        "demo",
        "load, reparameterize, verify and time a network on a photo",
        demo.add_options,
        demo.run,
    ),
    _Command("train", "train a network on images", train.add_options, train.run),
    _Command(
        "fuse",
        "reparameterize a checkpoint or an ONNX file, verify the result and save it",
        fuse.add_options,
        fuse.run,
    ),
    _Command(
        "verify", "show whether two networks are the same function", verify.add_options, verify.run
    ),
    _Command(
        "bench",
        "time networks, interleaved; a name stands for the inference form",
        bench.add_options,
        bench.run,
    ),
    _Command(
        "profile",
        "time every step of a network; a name stands for the inference form",
        profile.add_options,
        profile.run,
    ),
    _Command(
        "tune",
        "measure how the steps of a network run best here; later plans use what it finds",
        tune.add_options,
        tune.run,
    ),
    _Command("predict", "name what images show", predict.add_options, predict.run),
    _Command(
        "detect", "find the objects in pictures", pictures.add_detect_options, pictures.run_detect
    ),
    _Command(
        "segment",
        "find the class of every pixel of pictures",
        pictures.add_segment_options,
        pictures.run_segment,
    ),
    _Command(
        "evaluate", "say how good a network is on pictures", evaluate.add_options, evaluate.run
    ),
    _Command("quantize", "write a network in 8-bit integers", quantize.add_options, quantize.run),
    _Command(
        "info",
        "describe a network, or without one this installation and machine",
        info.add_options,
        info.run,
    ),
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mobileone", description=SUMMARY)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for name, text, add_options, run in _COMMANDS:
        command = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
        command.set_defaults(command=run)
        add_options(command)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that are numbers; texts say what others mean."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        number = isinstance(action.default, (int, float)) and not isinstance(action.default, bool)
        return super()._get_help_string(action) if number else action.help

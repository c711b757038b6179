"""The command line: the public verbs, on the standard library alone.

Exit codes: 0 success; 1 failure (not equivalent, bad file, missing extra); 2 bad arguments;
130 interrupted.
"""

from __future__ import annotations

import argparse
import codecs
import io
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from mobileone.checkpoint.export import kind_of_file
from mobileone.cli.loading import add_load_options, load_options, open_source, open_sources
from mobileone.cli.summary import forms_table, model_table, prediction_table
from mobileone.data.preprocessing import ImageError
from mobileone.figures.plots import figure_format, require_matplotlib, save_figure
from mobileone.interchange.onnx.fuse.verb import fuse_onnx
from mobileone.measure.benchmarking import benchmark
from mobileone.measure.profiling import profile
from mobileone.model import Model, load, reparameterize
from mobileone.util.errors import CheckpointError
from mobileone.util.files import check_writable
from mobileone.util.machine.environment import show_config
from mobileone.util.machine.threads import thread_count
from mobileone.util.version import SUMMARY, __version__
from mobileone.verification.stages import verify

__all__ = ["main"]

_FAILURES = (
    CheckpointError,
    ImageError,
    OSError,
    ImportError,
    NotImplementedError,
    FloatingPointError,
)
_MODEL_HELP = "a checkpoint file, or the name of a variant for seeded weights"


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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("mobileone", description=SUMMARY)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_train(commands)
    _add_fuse(commands)
    _add_verify(commands)
    _add_bench(commands)
    _add_profile(commands)
    _add_tune(commands)
    _add_predict(commands)
    _add_tasks(commands)
    _add_evaluate(commands)
    _add_quantize(commands)
    _add_info(commands)
    return parser


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows defaults that are numbers; texts say what others mean."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        number = isinstance(action.default, (int, float)) and not isinstance(action.default, bool)
        return super()._get_help_string(action) if number else action.help


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
    parser = commands.add_parser(name, help=text, description=text, formatter_class=_Help)
    parser.set_defaults(command=run)
    return parser


def _add_demo(commands: Any) -> None:
    text = "load, reparameterize, verify and time a network on a photo"
    parser = _command(commands, "demo", _demo, text)
    parser.add_argument("--image", metavar="FILE", help="a photo; default: Grace Hopper")
    parser.add_argument("--checkpoint", metavar="FILE", help="train-time weights; default: seeded")
    parser.add_argument("--model", default="mobileone_s0", help="variant for seeded weights")
    parser.add_argument("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="timed runs per form")
    parser.add_argument("--out", default="demo.png", metavar="FILE", help="where the plot goes")


def _demo(arguments: argparse.Namespace) -> int:
    from mobileone.cli.demo import run_demo

    result = run_demo(
        image=arguments.image,
        checkpoint=arguments.checkpoint,
        name=arguments.model,
        threads=arguments.threads,
        runs=arguments.runs,
        out=arguments.out,
        show=lambda text: print(text, flush=True),
    )
    return 0 if result.equivalence else 1


def _add_train(commands: Any) -> None:
    from mobileone.cli.train import add_options, run

    add_options(_command(commands, "train", run, "train a network on images"))


def _add_fuse(commands: Any) -> None:
    text = "reparameterize a checkpoint or an ONNX file, verify the result and save it"
    parser = _command(commands, "fuse", _fuse, text)
    parser.add_argument("source", metavar="SRC", help="a checkpoint file, or any .onnx file")
    target = parser.add_mutually_exclusive_group(required=True)
    kind = "the file to write: .safetensors, .npz, .pth, .onnx; .onnx of an .onnx file"
    target.add_argument("target", metavar="DST", nargs="?", help=kind)
    target.add_argument("-o", "--output", dest="target", metavar="DST", help="the same")
    add_load_options(parser)


def _fuse(arguments: argparse.Namespace) -> int:
    if arguments.source.lower().endswith(".onnx"):
        return _fuse_onnx(arguments.source, arguments.target)
    if not arguments.target.lower().endswith(".onnx"):
        kind_of_file(arguments.target)  # rather now than after the work
    before = load(arguments.source, **load_options(arguments))
    after = reparameterize(before)
    print(forms_table({"before": before, "after": after}).to_text())
    equivalence = verify(before, after)
    print(f"\n{equivalence!r}")
    if not equivalence:
        print(f"mobileone: error: not equivalent; {arguments.target} not written", file=sys.stderr)
        return 1
    after.save(arguments.target)
    print(f"\nsaved: {arguments.target}")
    return 0


def _fuse_onnx(source: str, target: str) -> int:
    fusion = fuse_onnx(source, target)
    print(repr(fusion))
    if not fusion:
        print(f"mobileone: error: not equivalent; {target} not written", file=sys.stderr)
        return 1
    print(f"\nsaved: {target}")
    return 0


def _add_verify(commands: Any) -> None:
    text = "show whether two networks are the same function"
    parser = _command(commands, "verify", _verify, text)
    parser.add_argument("reference", metavar="A", help=_MODEL_HELP)
    parser.add_argument("candidate", metavar="B", nargs="?", help="default: A, reparameterized")
    add_load_options(parser)


def _verify(arguments: argparse.Namespace) -> int:
    reference = open_source(arguments.reference, arguments)
    if arguments.candidate is None:
        candidate = reparameterize(reference)
    else:
        candidate = open_source(arguments.candidate, arguments)
    equivalence = verify(reference, candidate)
    print(repr(equivalence))
    return 0 if equivalence else 1


def _add_bench(commands: Any) -> None:
    text = "time networks, interleaved; a name stands for the inference form"
    parser = _command(commands, "bench", _bench, text)
    parser.add_argument("models", metavar="MODEL", nargs="+", help=_MODEL_HELP)
    parser.add_argument("--both-forms", action="store_true", help="time the train-time form too")
    parser.add_argument("--runs", type=int, default=1000, metavar="N", help="timed runs of each")
    parser.add_argument("--warmup", type=int, default=50, metavar="N", help="runs before these")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="that take turns")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="time limit for all runs")
    parser.add_argument("--plot", metavar="FILE", help="save a figure; needs matplotlib")
    _add_run_options(parser)


def _bench(arguments: argparse.Namespace) -> int:
    # Rather now than after the measurement.
    if arguments.plot:
        require_matplotlib()
        figure_format(arguments.plot)
    _check_outputs(arguments.plot, arguments.json)
    models: Any = open_sources(arguments.models, arguments)
    if arguments.both_forms:
        models = [model for source in arguments.models for model in _both_forms(source, arguments)]
    result = benchmark(
        models,
        runs=arguments.runs,
        warmup=arguments.warmup,
        rounds=arguments.rounds,
        budget_s=arguments.budget,
        **_run_options(arguments),
    )
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    if arguments.plot:
        figure: Any = result.plot().figure
        save_figure(figure, arguments.plot)
    return 130 if result.interrupted else 0


def _check_outputs(*paths: str | None) -> None:
    for path in paths:
        if path is not None:
            check_writable(path)


def _both_forms(source: str, arguments: argparse.Namespace) -> list[Model]:
    model = open_source(source, arguments, arguments.seed)
    return [model] if model.form == "inference" else [model, reparameterize(model)]


def _add_profile(commands: Any) -> None:
    text = "time every step of a network; a name stands for the inference form"
    parser = _command(commands, "profile", _profile, text)
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--runs", type=int, default=50, metavar="N", help="timed runs")
    parser.add_argument("--trace", metavar="FILE", help="save a trace for ui.perfetto.dev")
    _add_run_options(parser)


def _profile(arguments: argparse.Namespace) -> int:
    _check_outputs(arguments.trace, arguments.json)
    (model,) = open_sources([arguments.model], arguments)
    result = profile(model, runs=arguments.runs, **_run_options(arguments))
    print(repr(result))
    if arguments.json:
        result.to_json(arguments.json)
    if arguments.trace:
        result.to_chrome_trace(arguments.trace)
    return 0


def _add_tune(commands: Any) -> None:
    text = "measure how the steps of a network run best here; later plans use what it finds"
    parser = _command(commands, "tune", _tune, text)
    parser.add_argument("model", metavar="MODEL", help=_MODEL_HELP)
    parser.add_argument("--budget", type=float, metavar="S", help="seconds; default: 1.6 to 5")
    _add_plan_options(parser)
    add_load_options(parser)


def _tune(arguments: argparse.Namespace) -> int:
    from mobileone.cli.tune import run_tune

    model = open_source(arguments.model, arguments)
    run_tune(model, budget_s=arguments.budget, show=print, **_plan_options(arguments))
    return 0


def _add_predict(commands: Any) -> None:
    text = "name what images show"
    parser = _command(commands, "predict", _predict, text)
    parser.add_argument("model", metavar="MODEL", help="a checkpoint file")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="an image file")
    parser.add_argument("--topk", type=int, default=5, metavar="K", help="classes per image")
    add_load_options(parser)


def _predict(arguments: argparse.Namespace) -> int:
    model = reparameterize(load(arguments.model, **load_options(arguments)))
    for path in arguments.images:
        best: Any = model.predict(path, arguments.topk)
        table = prediction_table(path, best)
        print(table.to_text(), flush=True)
    return 0


def _add_tasks(commands: Any) -> None:
    from mobileone.cli.pictures import (
        add_detect_options,
        add_segment_options,
        run_detect,
        run_segment,
    )

    add_detect_options(_command(commands, "detect", run_detect, "find the objects in pictures"))
    text = "find the class of every pixel of pictures"
    add_segment_options(_command(commands, "segment", run_segment, text))


def _add_evaluate(commands: Any) -> None:
    from mobileone.cli.evaluate import add_options, run

    add_options(_command(commands, "evaluate", run, "say how good a network is on pictures"))


def _add_quantize(commands: Any) -> None:
    from mobileone.cli.quantize import add_options, run

    add_options(_command(commands, "quantize", run, "write a network in 8-bit integers"))


def _add_info(commands: Any) -> None:
    text = "describe a network, or without one this installation and machine"
    parser = _command(commands, "info", _info, text)
    parser.add_argument("source", metavar="SRC", nargs="?", help=_MODEL_HELP)
    add_load_options(parser)


def _info(arguments: argparse.Namespace) -> int:
    if arguments.source is None:
        print(repr(show_config()))
    else:
        model = open_source(arguments.source, arguments)
        print(model_table(arguments.source, model).to_text())
    return 0


def _add_run_options(parser: Any) -> None:
    _add_plan_options(parser)
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and images")
    parser.add_argument("--json", metavar="FILE", help="save everything as JSON")
    add_load_options(parser)


def _run_options(arguments: argparse.Namespace) -> dict[str, Any]:
    return {**_plan_options(arguments), "seed": arguments.seed}


def _add_plan_options(parser: Any) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    parser.add_argument("--batch-size", type=int, default=1, metavar="N", help="images in a run")
    parser.add_argument("--input-size", type=_size, metavar="N|HxW", help="default: the model's")


def _plan_options(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("threads", "batch_size", "input_size")
    return {name: getattr(arguments, name) for name in names}


def _size(text: str) -> int | tuple[int, int]:
    match = re.fullmatch(r"(\d+)(?:x(\d+))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size; expected N or HEIGHTxWIDTH")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))

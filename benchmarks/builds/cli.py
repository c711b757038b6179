"""The command line of `python -m benchmarks.builds`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from mobileone import _core

from benchmarks.builds import bits, speed
from benchmarks.builds.build import Build
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.worker_process import WorkerError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print; returns 0, 1 for a difference or a failure, 2 for bad arguments."""
    options = _parser().parse_args(arguments)
    try:
        old, new = Build(options.old), Build(options.new)
        choose_cpus(max(options.threads))
        for name, build in (("old", old), ("new", new)):
            with build.start(choose_cpus(1), 1) as process:
                print(f"{name}: mobileone {process.ask('version')}")
        return int(options.command(options, old, new))
    except WorkerError as error:
        print(f"builds: error: {error}", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"builds: error: {error}", file=sys.stderr)
        return 2


def _say(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _bits(options: argparse.Namespace, old: Build, new: Build) -> int:
    networks = options.models or bits.NETWORKS
    isas = options.isas or _core.available_isas() or [None]
    tries = options.tries
    rows = list(bits.compare_bits(old, new, networks, options.threads, isas, _say, tries))
    _say("")
    print(bits.table(rows))
    differing = sum(not row.equal for row in rows)
    print(f"\n{len(rows)} arrays, {differing} differ")
    return 1 if differing or not rows else 0


def _speed(options: argparse.Namespace, old: Build, new: Build) -> int:
    networks = options.models or speed.NETWORKS
    turns = speed.Turns(options.rounds, turn_s=options.turn)
    results = speed.measure(old, new, networks, options.threads, turns, _say, options.isa)
    cold = speed.measure_cold(old, new, networks, options.cold_starts, _say)
    _say("")
    print(f"\n{speed.table(results)}\n\nCold start:\n\n{speed.cold_table(cold)}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.builds",
        description="Compare two installed builds of this package, given by their interpreters.",
    )
    commands = parser.add_subparsers(required=True)
    helps = {"bits": "are all outputs the same bits?", "speed": "times, cold starts and memory"}
    for name, command in (("bits", _bits), ("speed", _speed)):
        sub = commands.add_parser(name, help=helps[name])
        sub.set_defaults(command=command)
        sub.add_argument("old", metavar="OLD_PYTHON")
        sub.add_argument("new", metavar="NEW_PYTHON")
        sub.add_argument("--models", nargs="+", choices=bits.NETWORKS, metavar="NAME")
        sub.add_argument("--threads", nargs="+", type=_count, default=[1, 2])
        if name == "bits":
            sub.add_argument("--isas", nargs="+", choices=["avx512", "avx2"])
            sub.add_argument("--tries", type=_count, default=1, help="processes of the old build")
        else:
            sub.add_argument(
                "--isa", choices=["avx512", "avx2"], help="of both; not of cold starts"
            )
            sub.add_argument("--rounds", type=_count, default=15)
            sub.add_argument("--turn", type=float, default=0.3, help="seconds a process measures")
            sub.add_argument("--cold-starts", type=_count, default=11)
    return parser


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; expected a whole number, at least 1")
    return int(text)

"""The command line of `python -m benchmarks.runtimes`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from mobileone import CheckpointError, list_models
from mobileone._tables import Table
from mobileone.environment import fingerprint

from benchmarks.runtimes.case import write_case
from benchmarks.runtimes.cold_start import cold_starts
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.harness import FULL, QUICK, convert, measure
from benchmarks.runtimes.registry import DEFAULT, ENGINES, OURS, find_engine
from benchmarks.runtimes.report import Report, to_markdown
from benchmarks.runtimes.worker_process import WorkerError

__all__ = ["main"]

_COLD_STARTS = {True: 7, False: 20}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; returns 0, 1 for a failure, 2 for bad arguments, 130 for Ctrl-C."""
    arguments = _parser().parse_args(argv)
    report = Report(vars(arguments), {}, fingerprint())
    code = 0
    try:
        _run(arguments, report)
    except KeyboardInterrupt:
        report.interrupted, code = True, 130
    except (CheckpointError, OSError, WorkerError) as error:
        print(f"benchmarks.runtimes: error: {error}", file=sys.stderr)
        code = 1
    except ValueError as error:
        print(f"benchmarks.runtimes: error: {error}", file=sys.stderr)
        return 2
    if report.cases or report.cold:
        _publish(arguments, report)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.runtimes",
        description="MobileOne in this engine and in rival runtimes, float32, on this CPU.",
        epilog="engines: " + ", ".join(engine.name for engine in ENGINES),
    )
    add = parser.add_argument
    add("--models", nargs="+", default=["mobileone_s0"], metavar="MODEL", help=_models_help())
    add("--threads", nargs="+", type=int, default=[1], metavar="N", help="default: 1")
    add("--batches", "--batch", nargs="+", type=int, default=[1], metavar="N", help="default: 1")
    add("--size", type=int, help="height and width of the images; default: the model's own")
    engines_help = "default: all but mobileone-onednn (no fused kernels) and the slow torch-compile"
    add("--engines", nargs="+", default=list(DEFAULT), metavar="ENGINE", help=engines_help)
    add("--isa", choices=["avx2", "avx512"], help="hold the engines to it that can be held")
    add("--cpus", nargs="+", type=int, metavar="CPU", help="choose among these CPUs")
    add("--quick", action="store_true", help="fewer and shorter rounds: under 4 minutes a model")
    add("--cold-start", action="store_true", help="process start to first result, and its memory")
    add("--seed", type=int, default=0, help="of weights and input")
    add("--json", metavar="FILE", help="write every sample and setting")
    add("--plot", metavar="FILE", help="write a figure (needs matplotlib)")
    add("--markdown", action="store_true", help="print GitHub tables")
    return parser


def _models_help() -> str:
    return f"checkpoints or names, of {', '.join(list_models())}; default: mobileone_s0"


def _run(arguments: argparse.Namespace, report: Report) -> None:
    """Fill the report case by case, so that an interruption loses one case at most."""
    engines = _engines(arguments.engines)
    cpus = {threads: choose_cpus(threads, arguments.cpus) for threads in arguments.threads}
    protocol = QUICK if arguments.quick else FULL
    report.protocol = protocol.to_dict()
    widest = cpus[max(cpus)]
    with tempfile.TemporaryDirectory(prefix="mobileone-runtimes-") as folder:
        for position, source in enumerate(arguments.models):
            for batch in arguments.batches:
                place = Path(folder) / f"{position}-{batch}"
                place.mkdir()
                _say(f"{source}: writing batch {batch}")
                case = write_case(source, batch, arguments.size, arguments.seed, place)
                unavailable = convert(case, engines, widest, _say)
                for threads, chosen in cpus.items():
                    isa = arguments.isa
                    report.cases.append(
                        measure(case, engines, threads, chosen, isa, protocol, unavailable, _say)
                    )
                    if report.cases[-1].interrupted:
                        raise KeyboardInterrupt
                if arguments.cold_start and batch == arguments.batches[0]:
                    threads = arguments.threads[0]
                    able = [name for name in engines if name not in unavailable]
                    count = _COLD_STARTS[arguments.quick]
                    report.cold[case.model] = cold_starts(
                        case, able, threads, cpus[threads], arguments.isa, count, _say
                    )


def _engines(names: Sequence[str]) -> list[str]:
    """Known names without repetition, ours first."""
    for name in names:
        find_engine(name)
    return list(dict.fromkeys([OURS, *names]))


def _publish(arguments: argparse.Namespace, report: Report) -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    print(report.to_text(to_markdown if arguments.markdown else Table.to_text))
    if arguments.json:
        report.to_json(arguments.json)
    if arguments.plot:
        from benchmarks.runtimes.plot import save_plot

        save_plot(report, arguments.plot)


def _say(text: str) -> None:
    """Progress on a terminal's stderr, one line that is overwritten."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

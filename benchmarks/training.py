"""What a training step of the engine costs beside PyTorch's.

    python -m benchmarks.training --model mobileone_s0 --batch 16 --size 224 --threads 2
    python -m benchmarks.training --model mobilevit_xxs --size 256
    python -m benchmarks.training --model mobileone_s0 --branches 1    # k = 1 beside the model's 4

Steps (forward, backward, SGD with momentum) of the engine by moments and branch by branch, and of
the same network in PyTorch as it is and compiled, each in a process of its own, one at a time in
interleaved rounds; the engine runs twice, as the null run. Prints minima, medians of the rounds'
ratios, peak memory and the machine's load, as Markdown. PyTorch's network is timm's, contiguous
and compiled without layout optimization: PyTorch 2.13 crashes on these stems in channels-last. The
first run of a compiled step takes minutes, later ones take it from inductor's cache
(TORCHINDUCTOR_CACHE_DIR): --prepare fills it and measures nothing.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.interleaved import Row, interleaved, prepare, resident

ENGINE, AGAIN, BRANCHES = "engine", "engine, again", "engine, branches"
EAGER, COMPILED = "PyTorch", "PyTorch, compiled"
OTHER_K = "engine, other k"
VARIANTS = (ENGINE, AGAIN, BRANCHES, EAGER, COMPILED)
MOMENTUM = 0.9


def batches(args: argparse.Namespace) -> Callable[[], tuple[Any, Any]]:
    """A seeded source of images and labels."""
    import numpy as np

    random = np.random.default_rng(0)
    shape = (args.batch, 3, args.size, args.size)
    return lambda: (
        random.standard_normal(shape, dtype=np.float32),
        random.integers(0, 1000, args.batch),
    )


def engine_step(args: argparse.Namespace) -> Callable[[], float]:
    """One step of the engine."""
    import mobileone
    import numpy as np
    from mobileone._core import sgd_update
    from mobileone.network.training_step import TrainingStep

    config = {"num_conv_branches": args.branches} if args.worker == OTHER_K else {}
    model = mobileone.create_model(args.model, seed=0, **config)
    path: Any = "branches" if args.worker == BRANCHES else "auto"
    step = TrainingStep(model.bundle, args.threads, path)
    names = list(step.parameters)
    momenta = [np.zeros_like(step.parameters[name]) for name in names]
    decays = [1e-4 if step.parameters[name].ndim > 1 else 0.0 for name in names]
    following = batches(args)

    def run() -> float:
        loss, gradients = step.loss_and_gradients(*following(), label_smoothing=0.1)
        sgd_update(
            [step.parameters[name] for name in names],
            [gradients[name] for name in names],
            momenta,
            decays,
            args.rate,
            MOMENTUM,
            threads=args.threads,
        )
        return loss

    return run


def torch_step(args: argparse.Namespace) -> Callable[[], float]:
    """One step of PyTorch."""
    import timm
    import torch

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    model: Any = timm.create_model(args.model).train()
    if args.worker == COMPILED:
        model = torch.compile(model, dynamic=False, options={"layout_optimization": False})
    optimizer = torch.optim.SGD(model.parameters(), args.rate, MOMENTUM, weight_decay=1e-4)
    following = batches(args)

    def run() -> float:
        x, labels = (torch.from_numpy(array) for array in following())
        loss = torch.nn.functional.cross_entropy(model(x), labels, label_smoothing=0.1)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return run


def worker(args: argparse.Namespace) -> None:
    """A step for each line read; its seconds and peak memory written."""
    step = (torch_step if args.worker in (EAGER, COMPILED) else engine_step)(args)
    loaded = resident("VmRSS")
    step()
    for _ in sys.stdin:
        start = time.perf_counter(), time.process_time()
        step()
        took = time.perf_counter() - start[0], time.process_time() - start[1]
        peak = resident("VmHWM")
        print(json.dumps([*took, peak - loaded, peak]), flush=True)


def report(args: argparse.Namespace, rows: dict[str, list[Row]], loads: list[float]) -> None:
    """A Markdown table: how much faster the engine is than each."""
    import torch

    print(
        f"{args.model}, batch {args.batch}, {args.size}², float32, {args.threads} "
        f"threads, PyTorch {torch.__version__}, {args.rounds} rounds; "
        f"load average {min(loads):.1f} to {max(loads):.1f}\n"
    )
    print(
        "| | s/step, min | CPU s/step, min | its time / the engine's, median (of minima) "
        "| by CPU time | MB, peak |\n|---|---|---|---|---|---|"
    )
    base = rows[ENGINE]
    for variant, values in rows.items():
        name = variant if variant != OTHER_K else f"engine, k = {args.branches}"
        ratios = [
            [value[i] / reference[i] for reference, value in zip(base, values, strict=True)]
            for i in range(2)
        ]
        least = [min(value[i] for value in values) for i in range(2)]
        minima = [least[i] / min(row[i] for row in base) for i in range(2)]
        print(
            f"| {name} | {least[0]:.3f} | {least[1]:.3f} "
            f"| {statistics.median(ratios[0]):.2f} ({minima[0]:.2f}) "
            f"| {statistics.median(ratios[1]):.2f} ({minima[1]:.2f}) "
            f"| {max(value[2] for value in values):.0f} "
            f"(process {max(value[3] for value in values):.0f}) |"
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="mobileone_s0", help="a name of timm's and of ours")
    parser.add_argument("--branches", type=int, help="also the engine with that k")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224, help="rows and columns of an image")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=float, default=0.01, help="the learning rate")
    parser.add_argument("--only", help="variants, separated by semicolons")
    parser.add_argument("--prepare", action="store_true", help="fill compilers' caches, and end")
    parser.add_argument("--worker", choices=(*VARIANTS, OTHER_K), help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.worker:
        return worker(args)
    variants = tuple(args.only.split(";")) if args.only else VARIANTS
    if ENGINE not in variants:
        variants = (ENGINE, *variants)
    if args.branches is not None:
        variants = (*variants, OTHER_K)
    module = "benchmarks.training"
    if args.prepare:
        return prepare(module, variants, sys.argv[1:], args.threads)
    rows, loads = interleaved(module, variants, sys.argv[1:], args.threads, args.rounds)
    return report(args, rows, loads)


if __name__ == "__main__":
    main()

"""What `mobileone.torch.accelerate` saves of a training step of PyTorch, and that it trains alike.

    python -m benchmarks.training_torch --model mobileone_s0 --batch 16 --size 224 --threads 2
    python -m benchmarks.training_torch --curve 50 --batch 4 --size 64       # in float64

Steps (forward, backward, SGD with momentum) of the model as built and accelerated, each in a
process of its own, one at a time in interleaved rounds; a second one of the first is the null run.
Prints minima, medians of the rounds' ratios, peak memory and the machine's load, as Markdown.
Needs timm (which needs torchvision). Channels-last is not offered: PyTorch 2.13 crashes in it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.interleaved import interleaved, resident

VARIANTS = ("as built", "as built, again", "accelerated")


def build(name: str, accelerated: bool) -> Any:
    """timm's model in train mode, seeded."""
    import mobileone.torch
    import timm
    import torch

    torch.manual_seed(0)
    model = timm.create_model(name).train()
    return mobileone.torch.accelerate(model) if accelerated else model


class Trainer:
    """One step at a time on seeded images."""

    def __init__(
        self, model: Any, batch: int, size: int, dtype: Any, rate: float, backwards: bool = False
    ) -> None:
        import torch

        self.model = model.to(dtype)
        self.generator = torch.Generator().manual_seed(1)
        self.shape, self.dtype, self.backwards = (batch, 3, size, size), dtype, backwards
        self.optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=1e-4)

    def step(self) -> float:
        """The loss."""
        import torch

        x = torch.randn(self.shape, generator=self.generator, dtype=self.dtype)
        labels = torch.randint(0, 1000, self.shape[:1], generator=self.generator)
        if self.backwards:
            x, labels = x.flip(0), labels.flip(0)
        loss = torch.nn.functional.cross_entropy(self.model(x), labels, label_smoothing=0.1)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return float(loss.detach())


def worker(args: argparse.Namespace) -> None:
    """A step for each line read; its seconds and peak memory written."""
    import torch

    torch.set_num_threads(args.threads)
    model = build(args.model, args.worker == VARIANTS[2])
    trainer = Trainer(model, args.batch, args.size, torch.float32, args.rate)
    before = resident("VmRSS")
    trainer.step()
    for _ in sys.stdin:
        start = time.perf_counter(), time.process_time()
        trainer.step()
        took = time.perf_counter() - start[0], time.process_time() - start[1]
        peak = resident("VmHWM")
        print(json.dumps([*took, peak - before, peak]), flush=True)


def measure(args: argparse.Namespace) -> None:
    """All variants in turn, round by round."""
    module = "benchmarks.training_torch"
    rows, loads = interleaved(module, VARIANTS, sys.argv[1:], args.threads, args.rounds)
    report(args, rows, loads)


def report(
    args: argparse.Namespace, rows: dict[str, list[list[float]]], loads: list[float]
) -> None:
    """A Markdown table."""
    import torch

    print(
        f"{args.model}, batch {args.batch}, {args.size}², float32, {args.threads} threads, "
        f"PyTorch {torch.__version__}, {args.rounds} rounds; "
        f"load average {min(loads):.1f} to {max(loads):.1f}"
    )
    print()
    print(
        "| | s/step, min | CPU s/step, min | faster, median of rounds (of minima) "
        "| by CPU time | MB, peak | relative |"
    )
    print("|---|---|---|---|---|---|---|")
    base = rows[VARIANTS[0]]
    for name, values in rows.items():
        seconds, processor, memory, peak = zip(*values, strict=True)
        ratios = [
            [reference[i] / value[i] for reference, value in zip(base, values, strict=True)]
            for i in range(2)
        ]
        minima = [min(r[i] for r in base) / min(v[i] for v in values) for i in range(2)]
        first = max(r[2] for r in base)
        print(
            f"| {name} | {min(seconds):.2f} | {min(processor):.2f} "
            f"| {statistics.median(ratios[0]):.2f} ({minima[0]:.2f}) "
            f"| {statistics.median(ratios[1]):.2f} ({minima[1]:.2f}) "
            f"| {max(memory):.0f} (process {max(peak):.0f}) | {max(memory) / first:.2f} |"
        )


def curve(args: argparse.Namespace) -> None:
    """The same steps in float64 as built, accelerated, and as built with each batch back to front.

    The last computes the same, sums being made in another order: what roundings alone make of the
    losses as built. Training amplifies them, above all at the beginning.
    """
    import torch

    torch.set_num_threads(args.threads)
    first, *others = (
        Trainer(
            build(args.model, accelerated),
            args.batch,
            args.size,
            torch.float64,
            args.rate,
            backwards,
        )
        for accelerated, backwards in ((False, False), (True, False), (False, True))
    )
    largest = [0.0, 0.0]
    print(
        "| step | loss | relative difference, accelerated | as built, batches back to front |\n"
        "|---|---|---|---|"
    )
    for index in range(args.curve):
        loss = first.step()
        differences = [abs(other.step() / loss - 1) for other in others]
        largest = [max(pair) for pair in zip(largest, differences, strict=True)]
        shown = " | ".join(f"{difference:.1e}" for difference in differences)
        print(f"| {index + 1} | {loss:.12f} | {shown} |", flush=True)
    print(f"| largest | | {largest[0]:.1e} | {largest[1]:.1e} |")


def main(argv: Sequence[str] | None = None) -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="mobileone_s0", help="a model of timm's")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=224, help="rows and columns of an image")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rate", type=float, default=0.01, help="the learning rate")
    parser.add_argument("--curve", type=int, default=0, help="compare the losses of so many steps")
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    (worker if args.worker else curve if args.curve else measure)(args)


if __name__ == "__main__":
    main()

"""What `load(module)` costs beside loading the module's tensors, and what its check adds.

    python -m benchmarks.loading --model mobileone_s4 --rounds 20 --threads 2

Loads a module of timm's (in train-time form) in one process, warm, in interleaved rounds: its
tensors as a dictionary, twice (the second is the null run); the module without and with its check;
and runs the module's own forward on one image of the check's size. Prints minima and medians in ms,
as Markdown, and what the check adds in units of that forward. Needs timm (which needs torchvision).
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

TENSORS, AGAIN = "its tensors", "its tensors, again"
UNCHECKED, CHECKED, FORWARD = "check=False", "with its check", "one forward of PyTorch"


def actions(name: str, threads: int) -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    import mobileone
    import timm
    import torch
    from mobileone.checkpoint.modules.reading import SIZE

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    module = timm.create_model(name).eval()
    tensors = module.state_dict()
    image = torch.randn(1, 3, *SIZE)

    def forward() -> None:
        with torch.inference_mode():
            module(image)

    return {
        TENSORS: lambda: mobileone.load(tensors),
        AGAIN: lambda: mobileone.load(tensors),
        UNCHECKED: lambda: mobileone.load(module, check=False),
        CHECKED: lambda: mobileone.load(module),
        FORWARD: forward,
    }


def measure(timed: dict[str, Callable[[], Any]], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each round, after one that is not counted."""
    times: dict[str, list[float]] = {name: [] for name in timed}
    for index in range(rounds + 1):
        for name, action in timed.items():
            start = time.perf_counter()
            result = action()
            elapsed = time.perf_counter() - start
            del result
            if index:
                times[name].append(1e3 * elapsed)
    return times


def report(times: dict[str, list[float]]) -> str:
    """Markdown: minima and medians, and the check in forwards."""
    lines = ["| | minimum, ms | median, ms |", "|---|---:|---:|"]
    lines += [
        f"| {name} | {min(t):.1f} | {statistics.median(t):.1f} |" for name, t in times.items()
    ]
    for word, of in (("minima", min), ("medians", statistics.median)):
        added = (of(times[CHECKED]) - of(times[UNCHECKED])) / of(times[FORWARD])
        lines.append(f"\nThe check adds {added:.2f} forwards ({word}).")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="mobileone_s4", help="of timm")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2, help="of PyTorch and of the engine")
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(given.threads)
    warnings.simplefilter("ignore")  # a seeded network's weights are nobody's published ones
    print(report(measure(actions(given.model, given.threads), given.rounds)))


if __name__ == "__main__":
    main()

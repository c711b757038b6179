"""ONNX files of timm's networks with seeded weights, as their authors fuse them: for benchmarks.

    python -m checkpoint.graphs.files FOLDER repvit_m1_0 fastvit_t8=256     # from tests/

A size follows the name where it is not 224. The exporter is PyTorch's older one: one file.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch

from checkpoint.timm_models import deployed, seeded


def write(folder: Path, name: str, size: int) -> Path:
    """The file of one network."""
    path = folder / f"{name}.onnx"
    x = torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(1))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        module = deployed(seeded(name, 0))
        torch.onnx.export(module, (x,), path, dynamo=False, input_names=["images"])
    return path


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for argument in sys.argv[2:]:
        chosen, _, pixels = argument.partition("=")
        print(write(target, chosen, int(pixels or 224)))

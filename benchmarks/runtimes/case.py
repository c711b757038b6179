"""What is measured: one network at one input shape, written where every engine can open it."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import mobileone
import numpy as np
from mobileone.measure.workload import open_workload
from mobileone.network.inputs import InputSize, input_shape, random_input, total_macs
from mobileone.verification.rounding import rounding_bound

from benchmarks.runtimes.formats.network import write_network
from benchmarks.runtimes.formats.onnx_file import SOURCE

__all__ = ["Case", "write_case"]

# Images that differ; a larger batch repeats them, so that the bound is computed on few.
_DISTINCT = 2


@dataclass(frozen=True)
class Case:
    """``bound``: what rounding may make two engines' logits differ by, absolutely.

    Of bfloat16 that of operands of every product, which covers engines that keep maps in it.
    """

    model: str
    arch: str
    params: int
    macs: int
    input_shape: tuple[int, int, int, int]
    bound: float
    folder: Path
    dtype: str = "float32"

    @property
    def batch(self) -> int:
        """Images per run."""
        return self.input_shape[0]


def write_case(
    source: str, batch: int, size: InputSize, seed: int, folder: Path, dtype: str = "float32"
) -> Case:
    """Write model and input into the existing ``folder``.

    ``source`` is the name of a variant (seeded weights), a checkpoint, or an ONNX file with its
    weights in it, which runtimes that read ONNX get as it is; our inference form is measured.
    ValueError or CheckpointError for what is neither.
    """
    workload = open_workload(source, seed=seed)
    model = mobileone.reparameterize(workload.model)
    shape = input_shape(model, size, batch)
    images = random_input((min(batch, _DISTINCT), *shape[1:]), seed)
    x = np.resize(images, shape)
    write_network(model, shape, folder)
    if source.lower().endswith(".onnx"):
        shutil.copyfile(source, folder / SOURCE)
    np.save(folder / "x.npy", x)
    (folder / "dtype").write_text(dtype)
    products = [n["name"] for n in model.graph.nodes if n["kind"] in ("Conv2d", "Linear")]
    rounded = products if dtype == "bfloat16" else []
    # Either side errs by its own bound, independently.
    bound = math.sqrt(2) * rounding_bound(model, images, (), seed=seed, bfloat16=rounded).logits
    counts = model.num_params, total_macs(model, shape)
    return Case(workload.label, model.arch, *counts, shape, bound, folder, dtype)

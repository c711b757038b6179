"""What is measured: one network at one input shape, written where every engine can open it."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import mobileone
import numpy as np
from mobileone.cli.demo_digits import DIGITS_CHECKPOINT
from mobileone.data.arrays import Float32
from mobileone.measure.workload import open_workload
from mobileone.network.inputs import InputSize, input_shape, random_input, total_macs
from mobileone.verification.rounding import rounding_bound

from benchmarks.runtimes.fidelity import DIGITS, write_images
from benchmarks.runtimes.formats.network import write_network
from benchmarks.runtimes.formats.onnx_file import SOURCE

__all__ = ["Case", "kept_case", "write_case"]

# Images that differ; a larger batch repeats them, so that the bound is computed on few.
_DISTINCT = 2


@dataclass(frozen=True)
class Case:
    """``bound``: what rounding may make two engines' logits differ by, absolutely.

    Of bfloat16 that of operands of every product, which covers engines that keep maps in it. None
    of int8: engines choose other integers. Of both ``folder`` has images to judge by (`fidelity`):
    ``held_out`` of them, of which float32 recognises the share ``float_accuracy``, if they have
    labels.
    """

    model: str
    arch: str
    params: int
    macs: int
    input_shape: tuple[int, int, int, int]
    bound: float | None
    folder: Path
    dtype: str = "float32"
    held_out: int = 0
    float_accuracy: float | None = None

    @property
    def batch(self) -> int:
        """Images per run."""
        return self.input_shape[0]


def kept_case(
    source: str, batch: int, size: InputSize, seed: int, folder: Path, dtype: str
) -> Case:
    """`write_case`, or what it wrote there before. ValueError where that was another case."""
    asked = [source, batch, size, seed, dtype]
    record = folder / "case.json"
    if record.exists():
        found = json.loads(record.read_text())
        if found["asked"] != asked:
            raise ValueError(f"{folder} has the case {found['asked']}; expected {asked}")
        told = found["case"] | {"folder": folder}
        return Case(**told | {"input_shape": tuple(told["input_shape"])})
    case = write_case(source, batch, size, seed, folder, dtype)
    record.write_text(json.dumps({"asked": asked, "case": asdict(case) | {"folder": None}}))
    return case


def write_case(
    source: str, batch: int, size: InputSize, seed: int, folder: Path, dtype: str = "float32"
) -> Case:
    """Write model and input into the existing ``folder``.

    ``source`` is the name of a variant (seeded weights), a checkpoint, an ONNX file with its
    weights in it, which runtimes that read ONNX get as it is, or "digits", the trained network that
    ships with the package; our inference form is measured.
    ValueError or CheckpointError for what is neither.
    """
    digits = source == DIGITS
    workload = open_workload(DIGITS_CHECKPOINT if digits else source, seed=seed)
    model = mobileone.reparameterize(workload.model)
    shape = input_shape(model, size, batch)
    images = random_input((min(batch, _DISTINCT), *shape[1:]), seed)
    x = np.resize(images, shape)
    write_network(model, shape, folder)
    if source.lower().endswith(".onnx"):
        shutil.copyfile(source, folder / SOURCE)
    np.save(folder / "x.npy", x)
    (folder / "dtype").write_text(dtype)
    judge = (0, None) if dtype == "float32" else write_images(model, shape, seed, folder, digits)
    counts = model.num_params, total_macs(model, shape)
    label = DIGITS if digits else workload.label
    bound = None if dtype == "int8" else _bound(model, images, seed, dtype)
    return Case(label, model.arch, *counts, shape, bound, folder, dtype, *judge)


def _bound(model: mobileone.Model, images: Float32, seed: int, dtype: str) -> float:
    products = [n["name"] for n in model.graph.nodes if n["kind"] in ("Conv2d", "Linear")]
    rounded = products if dtype == "bfloat16" else []
    # Either side errs by its own bound, independently.
    return math.sqrt(2) * rounding_bound(model, images, (), seed=seed, bfloat16=rounded).logits

"""Peak memory of loading the largest variant, in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mobileone.checkpoint import save_safetensors
from mobileone.checkpoint.containers.tensors import RELEASE_STEP

from .networks import CONFIGS, tensor_shapes, tensors

CONFIG = CONFIGS["mobileone_s4"]
_LOAD = """
import json, sys
import mobileone.checkpoint as checkpoint
# Nothing is imported later.
import mobileone.network.create, mobileone.checkpoint.containers.pickle_numpy
shapes = json.loads(sys.stdin.read())
def peak():
    line = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    return int(line.split()[1]) << 10
before = peak()
loaded = checkpoint.load_state_dict(sys.argv[1], parameter_shapes=lambda config: shapes)
print(peak() - before, sum(a.nbytes for a in loaded.state.values()))
"""


def save(kind: str, path: Path) -> None:
    state = tensors(tensor_shapes(CONFIG))
    held = {name: torch.from_numpy(array) for name, array in state.items()}
    if kind == "half":
        held = {k: v.half() if v.is_floating_point() else v for k, v in held.items()}
    if kind == "safetensors":
        save_safetensors(path, state)
    else:
        torch.save(held, path, _use_new_zipfile_serialization=kind != "legacy")


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy", "half"])
def test_peak_memory(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s4"
    save(kind, path)
    shapes = json.dumps(tensor_shapes(CONFIG)).encode()
    # Shapes from JSON are lists; the comparison is with tuples.
    script = _LOAD.replace(
        "lambda config: shapes", "lambda config: {k: tuple(s) for k, s in shapes.items()}"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)], input=shapes, capture_output=True, check=True
    )
    grown, nbytes = map(int, result.stdout.split())
    # Views of the file, or one float32 copy and as much of the file as was not yet given back.
    # Beside that: names, views and the like, and one tensor's temporary.
    held = path.stat().st_size if kind in ("safetensors", "zip") else nbytes + 2 * RELEASE_STEP
    assert grown < held + (16 << 20)


_WHOLE = """
import sys
import mobileone, mobileone.model, mobileone.checkpoint.open
mobileone.load(mobileone.create_model("mobileone_mu0").state_dict())  # everything is imported
def peak():
    line = next(l for l in open("/proc/self/status") if l.startswith("VmHWM"))
    return int(line.split()[1]) << 10
before = peak()
model = mobileone.load(sys.argv[1])
print(peak() - before)
"""


@pytest.mark.parametrize("kind", ["safetensors", "zip", "legacy"])
def test_peak_memory_of_a_model(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "s4"
    save(kind, path)
    command = [sys.executable, "-c", _WHOLE, str(path)]
    result = subprocess.run(command, capture_output=True, check=True)
    # The model's own copy, and what is not yet given back of the file, or all of it.
    size = path.stat().st_size
    rest = size if kind == "legacy" else 2 * RELEASE_STEP
    assert int(result.stdout) < size + rest + (16 << 20)

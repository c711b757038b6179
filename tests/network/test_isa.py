"""Every instruction set that this machine can run computes the same function."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases import arrays, exact, images
from conftest import Run
from mobileone.verification.rounding import rounding_bound
from mobilevit_cases import engine_model, outputs
from torch_mobileone import Config, MobileOne, fused, randomize
from torch_mobilevit import SMALL, create
from torch_rounding import rounding_bounds

# Channels that fill whole blocks of 16, of 8, and neither.
CONFIG = Config(24, (40, 17, 64), (1, 2, 1), 3, {"stage2.2": 3, "stage2.3": 2}, 10)

RUN = """
import numpy as np, mobileone
data = dict(np.load({path!r}))
x = data.pop("x")
model = mobileone.load(data, config={{"eps": 1e-5}})
fused = mobileone.reparameterize(model)
levels = range(4)
found = [*model.features(x, levels), model(x), *fused.features(x, levels), fused(x)]
np.savez({path!r}, *found)
"""


# oneDNN takes the best that the machine has up to its limit; ours refuses what the machine lacks.
LIMITS = {
    "oneDNN SSE4.1": ({"ONEDNN_MAX_CPU_ISA": "SSE41"}, ""),
    "oneDNN AVX2": ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, ""),
    "oneDNN AVX-512": ({"ONEDNN_MAX_CPU_ISA": "AVX512_CORE"}, ""),
    "AVX2": ({"MOBILEONE_MAX_ISA": "avx2"}, "avx2"),
    "AVX-512": ({"MOBILEONE_MAX_ISA": "avx512"}, "avx512f"),
    "default": ({}, ""),
}


def cpu_flags() -> set[str]:
    file = Path("/proc/cpuinfo")
    lines = file.read_text().splitlines() if file.exists() else []
    return {flag for line in lines if line.startswith("flags") for flag in line.split()}


@pytest.mark.parametrize("limit", LIMITS)
def test_every_instruction_set_matches_pytorch(python: Run, tmp_path: Path, limit: str) -> None:
    environ, needed = LIMITS[limit]
    if needed and needed not in cpu_flags():
        pytest.skip(f"this machine has no {limit}")
    module, x = randomize(MobileOne(CONFIG), 3), images(2, (45, 62))
    path = tmp_path / "case.npz"
    np.savez(path, x=x, **arrays(module))
    python(RUN.format(path=str(path)), OMP_NUM_THREADS="2", **environ)

    with torch.no_grad():
        maps = module.features(exact(x))
        expected = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    bounds = []
    for reference, rounded in ((module, False), (fused(module), True)):
        bound = rounding_bounds(reference, exact(x), rounded_weights=rounded, samples=4)
        bounds += [*bound.features, bound.logits]
    with np.load(path) as results:
        found = [results[name] for name in results.files]
    for a, b, bound in zip(found, [*expected, *expected], bounds, strict=True):
        assert np.abs(a - b).max() <= bound


RUN_MOBILEVIT = """
import numpy as np, mobileone
model = mobileone.load({model!r})
x = np.load({x!r})
found = [*model.features(x), model(x)]
fused = mobileone.reparameterize(model)
found += [fused(x), fused.compile(x.shape, backend="onednn")(x)]
np.savez({results!r}, *found)
"""


@pytest.mark.parametrize("limit", LIMITS)
def test_every_instruction_set_runs_mobilevit(python: Run, tmp_path: Path, limit: str) -> None:
    environ, needed = LIMITS[limit]
    if needed and needed not in cpu_flags():
        pytest.skip(f"this machine has no {limit}")
    module, x = create(SMALL), images(2, (57, 83))
    model = engine_model(module)
    files = {"model": "model.safetensors", "x": "x.npy", "results": "results.npz"}
    paths = {name: str(tmp_path / file) for name, file in files.items()}
    model.save(paths["model"])
    np.save(paths["x"], x)
    python(RUN_MOBILEVIT.format(**paths), OMP_NUM_THREADS="2", **environ)

    expected = outputs(module, x)
    bound = rounding_bound(model, x)
    with np.load(paths["results"]) as results:
        found = [results[name] for name in results.files]
    bounds = [*bound.levels, *[bound.logits] * 3]
    for a, b, allowed in zip(found, [*expected, *expected[-1:] * 2], bounds, strict=True):
        assert np.abs(a - b).max() <= allowed

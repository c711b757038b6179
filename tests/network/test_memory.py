"""Resident memory comes back: every script reports how far it grew, in MB, after a warm-up.

Freed blocks that glibc keeps for the next allocation are given back first: they are no leak, and
how many there are varies from one moment to the next.
"""

from __future__ import annotations

import pytest
from conftest import Run

PRELUDE = """
import ctypes, gc, os
import numpy as np, mobileone
def resident():
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim: trim(0)
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
def grown(step, warm_up, steps):
    for index in range(warm_up): step(index)
    before = resident()
    for index in range(steps): step(index)
    print(resident() - before)
config = {"widths": [32, 64, 96], "depths": [1, 2, 1], "num_conv_branches": 2}
mobilevit = {"widths": [16, 32], "depths": [1, 1], "transformer_widths": [0, 24],
             "ffn_widths": [0, 48], "transformer_depths": [0, 2], "num_classes": 7, "dropout": 0.1}
"""

STEPS = {
    "create, run, destroy": """
def step(index):
    model = mobileone.create_model("custom", seed=index, **config)
    x = np.ones((1 + index % 3, 3, 64, 64), np.float32)
    model(x); model.features(x, (0, 3)); mobileone.reparameterize(model)(x)
grown(step, 20, 500)
""",
    "state dict and load": """
model = mobileone.create_model("mobileone_mu0")
def step(index): mobileone.load(model.state_dict()).compile((1, 3, 32, 32))
grown(step, 5, 100)
""",
    "training": """
model = mobileone.create_model("custom", **config).train()
x = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
def step(index): model(x)
grown(step, 20, 500)
""",
    "MobileViT": """
model = mobileone.create_model("mobilevit_custom", **mobilevit)
fused = mobileone.reparameterize(model)
model.train()
def step(index):
    x = np.ones((1 + index % 3, 3, 32 + 16 * (index % 5), 48), np.float32)
    model(x); fused(x); fused.features(x, (2,)); fused.compile(x.shape, backend="onednn")(x)
grown(step, 40, 100)
""",
    "input sizes": """
model = mobileone.reparameterize(mobileone.create_model("custom", **config))
def step(index): model(np.ones((1, 3, 32 + index % 37, 32 + index % 53), np.float32))
grown(step, 600, 1000)  # oneDNN's own cache, of 1024 primitives, fills first
""",
    "errors": """
model = mobileone.create_model("custom", **config)
def step(index):
    for bad in (np.ones((64, 3, 31, 64)), np.ones((64, 2, 64, 64)), np.ones((64, 3, 64))):
        try: model(bad)
        except ValueError: pass
        else: raise SystemExit("accepted")
grown(step, 10, 300)
""",
}


@pytest.mark.parametrize("kind", STEPS)
def test_memory_comes_back(python: Run, kind: str) -> None:
    growth = float(python(PRELUDE + STEPS[kind], timeout=240, OMP_NUM_THREADS="2"))
    assert growth <= 20


def test_published_variants_are_freed(python: Run) -> None:
    """S4's 60 MB of weights, packed and unpacked, over and over."""
    script = """
def step(index):
    model = mobileone.create_model("mobileone_s4", form="inference")
    model(np.ones((1, 3, 32, 32), np.float32))
grown(step, 2, 10)
"""
    assert float(python(PRELUDE + script, timeout=240, OMP_NUM_THREADS="1")) <= 20

"""How a stem runs: by windows where that is faster, row by row with the direct algorithm."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone import _core

pytestmark = pytest.mark.skipif(_core.isa() == "none", reason="stems need the fused kernels")

SHAPE = (1, 3, 96, 80)


@pytest.fixture(scope="module")
def fused() -> mobileone.Model:
    return mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=0))


def stem_of(plan: mobileone.CompiledModel) -> str:
    return str(plan.steps[0]["implementation"])


def test_auto_takes_windows_and_direct_does_not(fused: mobileone.Model) -> None:
    assert "windows, then" in stem_of(fused.compile(SHAPE))
    assert "windows" in stem_of(fused.compile(SHAPE, algorithm="strassen"))
    assert "windows" not in stem_of(fused.compile(SHAPE, algorithm="direct"))


def test_a_stored_plan_keeps_the_choice(fused: mobileone.Model, tmp_path: Path) -> None:
    x = np.random.default_rng(0).standard_normal(SHAPE, dtype=np.float32)
    results = {}
    for algorithm in ("auto", "direct"):
        path = tmp_path / f"{algorithm}.plan"
        fused.save_plan(path, SHAPE, algorithm=algorithm)
        results[algorithm] = mobileone.load_plan(path)(x)
        expected = fused.compile(SHAPE, algorithm=algorithm)(x)
        np.testing.assert_array_equal(results[algorithm], expected)
    assert not np.array_equal(results["auto"], results["direct"])  # sums in another order

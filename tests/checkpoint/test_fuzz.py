"""A short run of the fuzzer. At length, some six minutes of one core:

for kind in npz index pickle config; do
    python -m tests.checkpoint.fuzz --mutations 100000 --seed 1 --kind $kind || break
done
"""

from __future__ import annotations

import pytest

from . import fuzz


def test_damaged_files_raise_checkpoint_errors_only() -> None:
    outcomes = fuzz.run(4000, seed=20, seconds=10)
    # The mutations reach everything: some leave a file valid, and most break it in many ways.
    assert outcomes.total() > 500
    assert outcomes["loaded"] > 0.02 * outcomes.total()
    assert len(outcomes) > 30


@pytest.mark.parametrize("kind", ["npz", "index", "pickle", "config"])
def test_each_reader(kind: str) -> None:
    # Most changes of a configuration leave it valid: fewer would not show its errors.
    outcomes = fuzz.run(1000, seed=21, seconds=60 if kind == "config" else 3, kind=kind)
    assert outcomes["loaded"] > 0
    assert len(outcomes) > 5

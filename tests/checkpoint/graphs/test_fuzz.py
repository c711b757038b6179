"""A few hundred mutated files; `python -m checkpoint.graphs.fuzz` does as many as it is told."""

from __future__ import annotations

from pathlib import Path

from .fuzz import check_mutated


def test_mutated_files_are_loaded_or_refused(tmp_path: Path) -> None:
    outcomes = {check_mutated(seed, tmp_path) for seed in range(300)}
    assert {"loaded", "CheckpointError", "NotImplementedError"} <= outcomes
    assert "an error without a message" not in outcomes

"""Fixtures of several files."""

from __future__ import annotations

from pathlib import Path

import pytest
from stored_plans import SHAPE, small_model


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "small.plan"
    small_model().save_plan(path, SHAPE, threads=1)
    return path

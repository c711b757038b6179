"""A small network, odd in its widths, with squeeze-and-excite blocks."""

from __future__ import annotations

import os
from pathlib import Path

import mobileone
import pytest

from benchmarks.runtimes import compare
from benchmarks.runtimes.case import Case, write_case

from .support import SHORT


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model = mobileone.create_model(
        "custom",
        form="inference",
        seed=3,
        widths=[16, 24, 40, 32],
        depths=[1, 2, 1, 1],
        se_depths=[0, 1, 0, 1],
        num_classes=10,
    )
    path = tmp_path_factory.mktemp("runtimes") / "small.safetensors"
    model.save(path)
    return path


@pytest.fixture
def case(checkpoint: Path, tmp_path: Path) -> Case:
    return write_case(os.fspath(checkpoint), 1, 64, 0, tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare, "QUICK", SHORT)
    monkeypatch.setattr(compare, "_COLD_STARTS", {True: 2})

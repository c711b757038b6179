"""The table of `auto` beside forced algorithms, on the real engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from mobileone import _core

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
def test_a_row_of_every_network(isa: str, tmp_path: Path) -> None:
    if isa not in _core.available_isas():
        pytest.skip(f"needs a CPU with {isa}")
    theirs = tmp_path / "tuning.json"
    command = [sys.executable, "-m", "benchmarks.algorithms", "--models", "mobileone_mu0"]
    result = subprocess.run(
        [*command, "--isa", isa, "--rounds", "2", "--turn", "0.01"],
        cwd=REPOSITORY,
        env={**os.environ, "MOBILEONE_TUNE_CACHE": str(theirs)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    first, _, header, _, row = result.stdout.splitlines()
    assert first == f"{isa}, threads 1"
    cells = dict(zip(_cells(header), _cells(row), strict=True))
    assert cells["network"] == "mobileone_mu0"
    for column in ("untuned, min / median ms", "tuned", "direct", "strassen"):
        least, median = map(float, cells[column].split(" / "))
        assert 0 < least <= median
    for column in ("untuned / best", "tuned / best", "null"):
        assert float(cells[column].split()[0]) > 0
    assert float(cells["tuning, s"]) > 0
    assert not theirs.exists()


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]

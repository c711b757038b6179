"""Timing two builds in turns: every figure of the table comes from real runs."""

from __future__ import annotations

import sys

import pytest
from mobileone import _core

from benchmarks.builds import speed
from benchmarks.builds.build import Build
from benchmarks.builds.cli import main

pytestmark = pytest.mark.skipif(not _core.available_isas(), reason="no plan can be stored")


def test_rounds_hold_all_three_processes() -> None:
    this = Build(sys.executable)
    turns = speed.Turns(rounds=4, settle_s=0.0, turn_s=0.001)
    said: list[str] = []
    (result,) = speed.measure(this, this, ["mobileone_mu0"], [1], turns, said.append)
    for rounds in (result.old, result.again, result.new):
        assert sorted(rounds) == [0, 1, 2, 3]
        assert all(min(samples) > 0 for samples in rounds.values())
    assert result.ratio is not None
    assert result.ratio.rounds == 4
    assert result.null is not None
    assert len(said) == 4


def test_the_command_prints_times_cold_starts_and_memory(
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["speed", sys.executable, sys.executable, "--models", "mobileone_mu0"]
    quick = [
        "--threads",
        "1",
        "--rounds",
        "2",
        "--turn",
        "0.01",
        "--cold-starts",
        "2",
        "--isa",
        "avx2",
    ]
    assert main([*command, *quick]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if "mu0" in line]
    times, plan, weights = rows
    assert len(times) == 8
    for cells, kind in ((plan, "plan"), (weights, "weights")):
        assert cells[1] == kind
        assert all(float(cell.strip(" |")) > 1 for cell in cells[5:])  # MiB


def test_a_build_without_the_network_is_an_error() -> None:
    command = ["speed", sys.executable, "/bin/false", "--models", "mobileone_mu0"]
    assert main([*command, "--threads", "1"]) == 1

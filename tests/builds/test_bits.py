"""Comparing two installed builds: equal, different, and broken ones."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from mobileone import _core

from benchmarks.builds import bits
from benchmarks.builds.cli import main

MU0 = ["--models", "mobileone_mu0", "--threads", "1"]


def test_a_build_equals_itself(capsys: pytest.CaptureFixture[str]) -> None:
    isa = _core.isa() if _core.available_isas() else None
    which = [] if isa is None else ["--isas", isa]
    assert main(["bits", sys.executable, sys.executable, *MU0, *which]) == 0
    printed = capsys.readouterr().out
    cases = list(bits.cases("mobileone_mu0"))
    assert printed.count("| all |") == len(cases)
    assert printed.endswith(" arrays, 0 differ\n")
    for what, _, _ in cases:
        assert f": {what} |" in printed


def interpreter(folder: Path, environment: str) -> str:
    """This interpreter, with an environment variable that the comparison does not see."""
    path = folder / "python"
    path.write_text(f'#!/bin/sh\nexec env {environment} "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return os.fspath(path)


@pytest.mark.skipif("avx512" not in _core.available_isas(), reason="one instruction set only")
def test_other_bits_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build that computes with AVX2 whatever it is told to."""
    other = interpreter(tmp_path, "MOBILEONE_MAX_ISA=avx2")
    assert main(["bits", sys.executable, other, *MU0, "--isas", "avx512"]) == 1
    printed = capsys.readouterr().out
    assert "| mobileone_mu0, avx512, 1 thread: fused weights | 56 | all |" in printed
    step = r"\| mobileone_mu0, avx512, 1 thread: training step \| \S+ \| [0-9.e-]+ \| \w{16} \|"
    assert re.search(step, printed)


def test_a_build_that_fails_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = interpreter(tmp_path, "MOBILEONE_MAX_ISA=mmx")
    assert main(["bits", broken, broken, *MU0]) == 1
    assert "MOBILEONE_MAX_ISA" in capsys.readouterr().out
    assert main(["bits", "/bin/false", sys.executable, *MU0]) == 1
    assert main(["bits", "/nowhere/python", sys.executable, *MU0]) == 2


def row(old: object, new: object) -> bits.Row:
    arrays = [{} if a is None else {"x": np.asarray(a)} for a in (old, new)]
    (result,) = bits.compare_arrays("case", *arrays)
    return result


def test_arrays_are_compared_by_their_bits() -> None:
    one = np.float32([1.0, 2.0, np.nan])
    assert row(one, one.copy()).equal
    assert row(one, one.copy()[::-1][::-1]).equal
    assert not row(np.float32([0.0]), np.float32([-0.0])).equal
    assert row(np.float32([0.0]), np.float32([-0.0])).difference == 0.0
    changed = row(np.float32([1.0, 2.0]), np.float32([1.0, 2.5]))
    assert not changed.equal
    assert changed.difference == 0.5
    assert not row(np.float32([1.0]), np.float64([1.0])).equal
    reshaped = row(np.float32([[1.0]]), np.float32([1.0]))
    assert not reshaped.equal
    assert reshaped.difference is None
    absent = row(None, one)
    assert (absent.old, absent.equal) == ("absent", False)

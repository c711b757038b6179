"""Configuring the build where something is missing says what."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD = """#!/bin/sh
for argument in "$@"; do
  case "$argument" in *++20|*++2a) echo "error: unrecognized option '$argument'" >&2; exit 1;; esac
done
exec c++ "$@"
"""


@pytest.mark.skipif(shutil.which("cmake") is None, reason="needs CMake")
@pytest.mark.skipif(shutil.which("c++") is None, reason="needs a compiler")
def test_a_compiler_without_cpp20_is_named(tmp_path: Path) -> None:
    compiler = tmp_path / "old-c++"
    compiler.write_text(OLD)
    compiler.chmod(0o755)
    arguments = ["-G", "Ninja"] if shutil.which("ninja") else []
    done = subprocess.run(
        ["cmake", "-S", ROOT, "-B", tmp_path / "build", *arguments,
         f"-DCMAKE_CXX_COMPILER={compiler}", f"-DPython_EXECUTABLE={sys.executable}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode != 0
    said = " ".join(done.stderr.split())
    assert "old-c++" in said
    assert "does not compile C++20; expected GCC 11, Clang 14 or a later one" in said
    assert "OpenMP" not in said

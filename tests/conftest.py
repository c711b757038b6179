"""Fixtures for every test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

Run = Callable[..., str]


@pytest.fixture
def python() -> Run:
    """Run a script in a fresh interpreter; its stdout, stripped. Fails if it hangs or fails."""

    def run(script: str, *, timeout: float = 120, **environ: str) -> str:
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert result.returncode == 0, f"exit {result.returncode}:\n{result.stderr}"
        return result.stdout.strip()

    return run

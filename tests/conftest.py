"""Fixtures for every test."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., str]
HERE = Path(__file__).parent

# What somebody has tuned on this machine is not what is tested.
os.environ["MOBILEONE_TUNE_CACHE"] = "off"
# A script that starts the tests in the background has SIGINT ignored in them and their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def networks_are_forgotten() -> Iterator[None]:
    """After a file of tests, the networks that it shared through functools.cache are let go.

    Plans and float64 references of every variant would add up over the files of a process.
    """
    yield
    for module in list(sys.modules.values()):
        if HERE in Path(getattr(module, "__file__", None) or "/").parents:
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
    gc.collect()
    # What glibc keeps for the next allocation counts as resident, too; other libraries have none.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


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

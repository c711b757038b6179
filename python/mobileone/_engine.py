"""Loads the extension module, with bounded OpenMP spinning."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

# Rounds that a waiting thread of GNU OpenMP spins before it sleeps: what libgomp itself takes when
# it knows that cores are oversubscribed, some 50 us. Its default is milliseconds, during which
# waiting threads keep the core from the thread they wait for: on a busy machine that made a run of
# 3 ms take 900.
_SPIN_ROUNDS = "1000"
_USERS_CHOICE = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def load() -> ModuleType:
    """The extension; libgomp reads its environment once, when it comes in with it."""
    if any(name in os.environ for name in _USERS_CHOICE):
        return importlib.import_module("mobileone._core")
    os.environ["GOMP_SPINCOUNT"] = _SPIN_ROUNDS
    try:
        return importlib.import_module("mobileone._core")
    finally:
        del os.environ["GOMP_SPINCOUNT"]

"""PyTorch eager, channels last."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runtimes.engines.torch_common import TorchSession, load_module

DISTRIBUTION = "torch"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Nothing to do: the module is built from the network in the folder."""


class Session(TorchSession):
    """The module as it is."""

    def prepare(self, folder: Path, tune: bool) -> Any:
        """The module."""
        return load_module(folder)

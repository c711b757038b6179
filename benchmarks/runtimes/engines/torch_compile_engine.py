"""torch.compile with frozen weights; needs a C++ compiler, and minutes for the larger nets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.runtimes.engines.torch_common import TorchSession, load_module

DISTRIBUTION = "torch"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Nothing to do: the module is built from the network in the folder."""


class Session(TorchSession):
    """The module compiled for this shape."""

    def prepare(self, folder: Path, tune: bool) -> Any:
        """The compiled module."""
        import torch._inductor.config as inductor

        inductor.freezing = True
        self.settings |= {"freezing": "True", "dynamic": "False", "fullgraph": "True"}
        return self._torch.compile(load_module(folder), dynamic=False, fullgraph=True)

"""What the three ways of running PyTorch share."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.formats.network import read_network
from benchmarks.runtimes.formats.torch_module import torch_module

__all__ = ["TorchSession", "load_module", "quiet"]


def load_module(folder: Path) -> Any:
    """The network in ``folder`` as an eager module, channels last."""
    return torch_module(read_network(folder))


def quiet() -> None:
    """Torch announces the retirement of TorchScript with every call."""
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=UserWarning)


class TorchSession:
    """Threads, input and inference mode; subclasses make the callable."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import torch

        quiet()
        torch.set_num_threads(threads)
        torch.set_num_interop_threads(1)
        torch.set_float32_matmul_precision("highest")
        self._torch = torch
        self._x = torch.from_numpy(x.copy()).contiguous(memory_format=torch.channels_last)
        # Entered for good: this process does nothing else.
        self._mode = torch.inference_mode()
        self._mode.__enter__()
        self.settings = {
            "num_threads": str(torch.get_num_threads()),
            "input": "channels_last",
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        }
        self._call = self.prepare(folder, tune)

    def prepare(self, folder: Path, tune: bool) -> Any:
        """The callable that maps the input to the logits."""
        raise NotImplementedError(type(self).__name__)

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._x.copy_(self._torch.from_numpy(x))

    def run(self) -> None:
        """One inference."""
        self._result = self._call(self._x)

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.array(self._result.numpy(), np.float32)

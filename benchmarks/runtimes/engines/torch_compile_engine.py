"""torch.compile with frozen weights, of int8 by X86InductorQuantizer; needs a C++ compiler, and
minutes for the larger nets.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.runtimes.engines.torch_common import TorchSession, load_module
from benchmarks.runtimes.fidelity import CALIBRATION

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
        module = load_module(folder)
        if (folder / "dtype").read_text() == "int8":
            module = self._quantized(module, np.load(folder / CALIBRATION))
            self.settings["quantizer"] = f"torchao {version('torchao')}"
        return self._torch.compile(module, dynamic=False, fullgraph=True)

    def _quantized(self, module: Any, images: Any) -> Any:
        """With X86InductorQuantizer's defaults."""
        from torchao.quantization.pt2e import quantize_pt2e
        from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

        quantizer = x86.X86InductorQuantizer()
        quantizer.set_global(x86.get_default_x86_inductor_quantization_config())
        torch, last = self._torch, self._torch.channels_last
        # What is exported in inference mode cannot be observed.
        with torch.inference_mode(False), torch.no_grad():
            x = self._x.clone(memory_format=torch.preserve_format)
            ready = quantize_pt2e.prepare_pt2e(
                torch.export.export(module, (x,)).module(), quantizer
            )
            for image in images:
                batch = np.resize(image, tuple(x.shape))
                ready(torch.from_numpy(batch).contiguous(memory_format=last))
            return quantize_pt2e.convert_pt2e(ready)

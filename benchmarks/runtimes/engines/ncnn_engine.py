"""ncnn on the CPU, batch 1, reduced precision switched off."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DISTRIBUTION = "ncnn"
_PARAM, _BINARY = "model.ncnn.param", "model.ncnn.bin"
_REDUCED = (
    "use_fp16_packed",
    "use_fp16_storage",
    "use_fp16_arithmetic",
    "use_bf16_storage",
    "use_int8_inference",
)


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write the .param and .bin files."""
    from benchmarks.runtimes.formats.ncnn_file import write_ncnn
    from benchmarks.runtimes.formats.network import read_network

    write_ncnn(read_network(folder), folder / _PARAM, folder / _BINARY)


class Session:
    """A net; ncnn makes an extractor per run."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import ncnn

        self._net = ncnn.Net()
        options = self._net.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        for name in _REDUCED:
            setattr(options, name, False)
        for load, name in ((self._net.load_param, _PARAM), (self._net.load_model, _BINARY)):
            if load(str(folder / name)) != 0:
                raise RuntimeError(f"ncnn cannot load {name}")
        self._x = x  # a Mat made from an array borrows its memory
        self._input = ncnn.Mat(x[0])
        self._output: ncnn.Mat | None = None
        self.settings = {
            "num_threads": str(options.num_threads),
            "use_packing_layout": str(options.use_packing_layout),
            "off": ", ".join(name for name in _REDUCED if not getattr(options, name)),
        }

    def run(self) -> None:
        """One inference."""
        extractor = self._net.create_extractor()
        extractor.input("input", self._input)
        status, self._output = extractor.extract("logits")
        if status != 0:
            raise RuntimeError(f"ncnn's extract returned {status}")

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [1, classes] of the last run."""
        return np.array(self._output, np.float32)[None]

"""LiteRT (TensorFlow Lite) with the XNNPACK delegate, which it applies by default."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DISTRIBUTION = "ai-edge-litert"
_FILE = "model.tflite"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write the .tflite file."""
    from benchmarks.runtimes.formats.network import read_network
    from benchmarks.runtimes.formats.tflite_file import write_tflite

    write_tflite(read_network(folder), folder / _FILE)


class Session:
    """An interpreter whose input, in NHWC as the runtime wants it, is set once."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(folder / _FILE), num_threads=threads)
        self._interpreter.allocate_tensors()
        source = self._interpreter.get_input_details()[0]["index"]
        self._result = self._interpreter.get_output_details()[0]["index"]
        self._interpreter.set_tensor(source, np.ascontiguousarray(x.transpose(0, 2, 3, 1)))
        self.settings = {
            "num_threads": str(threads),
            "delegate": "XNNPACK (default)",
            "input": "NHWC, set once",
            "precision": "float32",
        }

    def run(self) -> None:
        """One inference."""
        self._interpreter.invoke()

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.array(self._interpreter.get_tensor(self._result), np.float32)

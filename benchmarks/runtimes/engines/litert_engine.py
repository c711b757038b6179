"""LiteRT (TensorFlow Lite) with the XNNPACK delegate, which it applies by default."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.fidelity import CALIBRATION
from benchmarks.runtimes.formats.tflite_writer import SIGNATURE

DISTRIBUTION = "ai-edge-litert"
_FILE = "model.tflite"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write the .tflite file; of int8 what AI Edge Quantizer makes of it."""
    from benchmarks.runtimes.formats.network import read_network
    from benchmarks.runtimes.formats.tflite_file import write_tflite

    network = read_network(folder)
    if (folder / "dtype").read_text() != "int8":
        write_tflite(network, folder / _FILE)
        return
    source = folder / "for_litert.tflite"
    write_tflite(network, source)
    _quantize(source, np.load(folder / CALIBRATION), network.input_shape[0], folder / _FILE)


def _quantize(source: Path, images: npt.NDArray[np.float32], batch: int, path: Path) -> None:
    """Its recipe of 8-bit weights, per channel, and 8-bit activations; float32 in and out."""
    from ai_edge_quantizer import quantizer, recipe

    wide = {"regex": ".*", "algorithm_key": "no_quantize", "op_config": {}}
    rules = [*recipe.static_wi8_ai8(), *(wide | {"operation": end} for end in ("INPUT", "OUTPUT"))]
    own = quantizer.Quantizer(str(source), rules)
    inputs = [{"x": _nhwc(np.resize(image, (batch, *image.shape)))} for image in images]
    ranges = own.calibrate({SIGNATURE: inputs})
    own.quantize(ranges).export_model(str(path), overwrite=True)


def _nhwc(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


class Session:
    """An interpreter whose input, in NHWC as the runtime wants it, is set once."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(folder / _FILE), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._source = self._interpreter.get_input_details()[0]["index"]
        self._result = self._interpreter.get_output_details()[0]["index"]
        self.feed(x)
        self.settings = {
            "num_threads": str(threads),
            "delegate": "XNNPACK (default)",
            "input": "NHWC, set once",
            "precision": (folder / "dtype").read_text(),
        }
        if self.settings["precision"] == "int8":
            self.settings["quantizer"] = f"ai-edge-quantizer {version('ai-edge-quantizer')}"

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._interpreter.set_tensor(self._source, _nhwc(x))

    def run(self) -> None:
        """One inference."""
        self._interpreter.invoke()

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.array(self._interpreter.get_tensor(self._result), np.float32)

"""ONNX Runtime, CPU execution provider, input and output bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.fidelity import CALIBRATION

DISTRIBUTION = "onnxruntime"
_FILE = "model.onnx"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write the ONNX file; of int8 what `quantize_static` makes of it."""
    from benchmarks.runtimes.formats.onnx_file import write_onnx

    if (folder / "dtype").read_text() != "int8":
        write_onnx(folder, folder / _FILE)
        return
    source = folder / "for_onnxruntime.onnx"
    write_onnx(folder, source)
    _quantize(source, np.load(folder / CALIBRATION), folder / _FILE)


def _quantize(source: Path, images: npt.NDArray[np.float32], path: Path) -> None:
    """Per channel, after its own preprocessing; all else by default."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc,unused-ignore]
        def __init__(self) -> None:
            self.images = iter(images)

        def get_next(self) -> Any:
            image = next(self.images, None)
            return None if image is None else {name: np.resize(image, (batch, *image.shape))}

    ready = path.with_name("ready.onnx")
    quant_pre_process(source, ready, skip_symbolic_shape=True)
    given = onnx.load(ready).graph.input[0]
    name, batch = given.name, given.type.tensor_type.shape.dim[0].dim_value
    quantize_static(ready, path, Reader(), per_channel=True)


class Session:
    """An inference session with bound buffers, so that a run copies nothing."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        options.add_session_config_entry("session.intra_op.allow_spinning", "1")
        # Denormals are slow; random weights make next to none, so that results stay comparable.
        options.add_session_config_entry("session.set_denormal_as_zero", "1")
        providers = ["CPUExecutionProvider"]
        self._session = onnxruntime.InferenceSession(
            str(folder / _FILE), options, providers=providers
        )
        self._binding = self._session.io_binding()
        name = self._session.get_inputs()[0].name
        self._name = name
        self.feed(x)
        (result,) = self._session.get_outputs()
        self._value = onnxruntime.OrtValue.ortvalue_from_shape_and_type(
            result.shape, np.float32, "cpu"
        )
        self._binding.bind_ortvalue_output(result.name, self._value)
        self.settings = {
            "providers": ", ".join(self._session.get_providers()),
            "intra_op_num_threads": str(options.intra_op_num_threads),
            "inter_op_num_threads": str(options.inter_op_num_threads),
            "graph_optimization_level": "ORT_ENABLE_ALL",
            "allow_spinning": options.get_session_config_entry("session.intra_op.allow_spinning"),
            "set_denormal_as_zero": "1",
            "precision": "int8 by quantize_static, per channel"
            if (folder / "dtype").read_text() == "int8"
            else "float32 (the provider has no lower one by itself)",
        }

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._x = x
        self._binding.bind_cpu_input(self._name, x)

    def run(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.asarray(self._value.numpy(), np.float32)

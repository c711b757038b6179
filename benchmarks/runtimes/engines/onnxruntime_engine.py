"""ONNX Runtime, CPU execution provider, input and output bound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DISTRIBUTION = "onnxruntime"
_FILE = "model.onnx"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write the ONNX file."""
    from benchmarks.runtimes.formats.onnx_file import write_onnx

    write_onnx(folder, folder / _FILE)


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
        self._x = x
        self._binding = self._session.io_binding()
        name = self._session.get_inputs()[0].name
        self._binding.bind_cpu_input(name, x)
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
            "precision": "float32 (the provider has no lower one by itself)",
        }

    def run(self) -> None:
        """One inference."""
        self._session.run_with_iobinding(self._binding)

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.asarray(self._value.numpy(), np.float32)

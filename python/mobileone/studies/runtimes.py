"""Other runtimes on a model of ours, timed like it: by the ONNX file that it exports."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.model import Model

__all__ = ["RUNTIMES", "Rival", "installed"]

# Runs a bound input once; the result of the last run.
Run = Callable[[], object]
Read = Callable[[], Any]


class Rival:
    """A model of ours in another runtime; what `mobileone.benchmark` asks of a model.

    Attributes:
        name: of the model and the runtime.
    """

    form = "inference"

    def __init__(self, model: Model, runtime: str) -> None:
        self._model = model
        self._runtime = runtime
        self.name = f"{model.name} ({runtime})"

    @property
    def arch(self) -> str:
        """The runtime's name: the model's own weights, another engine."""
        return self._runtime

    @property
    def num_params(self) -> int:
        """The model's."""
        return self._model.num_params

    @property
    def config(self) -> dict[str, Any]:
        """The model's."""
        return self._model.config

    @property
    def graph(self) -> Graph:
        """The model's."""
        return self._model.graph

    @property
    def input_size(self) -> tuple[int, int]:
        """The model's."""
        return self._model.input_size

    def compile(self, input_shape: Sequence[int], *, threads: int | None = None) -> Any:
        """A session for one shape, in float32."""
        return _Session(self._model, tuple(input_shape), self._runtime, threads or 1)


class _Session:
    """A runtime's session, its input bound when it is first run."""

    def __init__(self, model: Model, shape: tuple[int, ...], runtime: str, threads: int) -> None:
        self._open = RUNTIMES[runtime]
        self._file = _file(model, shape)
        self._threads = threads
        self._bound: tuple[Run, Read] | None = None

    def __call__(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The logits of one run."""
        run, read = self._bind(x)
        run()
        return np.array(read(), np.float32)

    def time(self, x: npt.NDArray[np.float32], runs: int) -> npt.NDArray[np.int64]:
        """Nanoseconds of each run, the call from Python included (microseconds)."""
        (run, _), clock = self._bind(x), time.perf_counter_ns
        samples = np.empty(runs, np.int64)
        for i in range(runs):
            start = clock()
            run()
            samples[i] = clock() - start
        return samples

    def _bind(self, x: npt.NDArray[np.float32]) -> tuple[Run, Read]:
        if self._bound is None:
            self._bound, self._file = self._open(self._file, x, self._threads), b""
        return self._bound


def _file(model: Model, shape: tuple[int, ...]) -> bytes:
    """An ONNX file of that shape: runtimes plan more where sizes are fixed."""
    from mobileone.interchange.onnx.export import onnx_model

    proto = onnx_model(model.bundle, dynamic_batch=False, input_size=(shape[2], shape[3]))
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = shape[0]
    return bytes(proto.SerializeToString())


def _onnxruntime(file: bytes, x: npt.NDArray[np.float32], threads: int) -> tuple[Run, Read]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Its threads would spin on while others are timed in this process.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    binding.bind_cpu_input(session.get_inputs()[0].name, x)
    binding.bind_output(session.get_outputs()[0].name)
    return lambda: session.run_with_iobinding(binding), lambda: binding.copy_outputs_to_cpu()[0]


def _openvino(file: bytes, x: npt.NDArray[np.float32], threads: int) -> tuple[Run, Read]:
    import openvino

    core = openvino.Core()
    # Without the hint a CPU with AVX512-BF16 or AMX computes in bfloat16.
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": str(threads),
    }
    request = core.compile_model(core.read_model(file), "CPU", config).create_infer_request()
    request.set_input_tensor(openvino.Tensor(x, shared_memory=True))
    return lambda: request.infer(), lambda: request.get_output_tensor(0).data


# By the name of their package: from a file, an input and a number of threads to what runs it.
RUNTIMES: dict[str, Callable[[bytes, npt.NDArray[np.float32], int], tuple[Run, Read]]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
}


def installed() -> list[str]:
    """The runtimes that are installed and can be given a file."""
    if find_spec("onnx") is None:
        return []
    return [name for name in RUNTIMES if find_spec(name) is not None]

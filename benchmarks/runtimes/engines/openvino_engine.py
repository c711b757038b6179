"""OpenVINO's CPU plugin, held to float32 or bfloat16, or on NNCF's integers; one stream."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.runtimes.fidelity import CALIBRATION

DISTRIBUTION = "openvino"
_FILE = "model.xml"
_READ_BACK = (
    "INFERENCE_PRECISION_HINT",
    "INFERENCE_NUM_THREADS",
    "NUM_STREAMS",
    "PERFORMANCE_HINT",
    "EXECUTION_MODE_HINT",
    "ENABLE_CPU_PINNING",
)


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write OpenVINO's own format, by way of ONNX, weights in float32, or NNCF's int8 of it."""
    import openvino

    from benchmarks.runtimes.formats.onnx_file import write_onnx

    source = folder / "for_openvino.onnx"
    write_onnx(folder, source)
    model = openvino.convert_model(source)
    if (folder / "dtype").read_text() == "int8":
        model = _quantized(model, np.load(folder / CALIBRATION))
    openvino.save_model(model, folder / _FILE, compress_to_fp16=False)


def _quantized(model: Any, images: npt.NDArray[np.float32]) -> Any:
    """With NNCF's defaults."""
    import nncf

    batch = model.inputs[0].shape[0]
    data = nncf.Dataset([np.resize(image, (batch, *image.shape)) for image in images])
    return nncf.quantize(model, data, subset_size=len(images))


class Session:
    """A compiled model with one infer request on shared buffers."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import openvino

        core = openvino.Core()
        dtype = (folder / "dtype").read_text()
        wide = dtype != "bfloat16"  # what is left in float of a quantized network, too
        # Without the hint a CPU with AVX512-BF16 or AMX computes in bfloat16.
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32" if wide else "bf16",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(threads),
        }
        compiled = core.compile_model(str(folder / _FILE), "CPU", config)
        self.settings = {name: _text(compiled.get_property(name)) for name in _READ_BACK}
        precision = self.settings["INFERENCE_PRECISION_HINT"]
        names = ("float32", "f32") if wide else ("bfloat16", "bf16")
        if not any(name in precision for name in names) or ("bf" in precision) == wide:
            raise RuntimeError(f"OpenVINO computes in {precision}, which was not asked for")
        if tune:
            self.settings["primitives"] = _primitives(compiled)
        if dtype == "int8":
            self.settings["quantizer"] = f"nncf {version('nncf')}"
        self._request = compiled.create_infer_request()
        self._array = np.ascontiguousarray(x)
        self._x = openvino.Tensor(self._array, shared_memory=True)
        self._request.set_input_tensor(self._x)

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._array[...] = x

    def run(self) -> None:
        """One inference."""
        self._request.infer()

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.array(self._request.get_output_tensor(0).data, np.float32)


def _text(value: Any) -> str:
    return str(value).removeprefix("<Type: '").removesuffix("'>")


def _primitives(compiled: Any) -> str:
    """The kinds of kernel in the compiled graph, which name instruction set and precision."""
    kinds: dict[str, int] = {}
    for operator in compiled.get_runtime_model().get_ops():
        kind = str(operator.get_rt_info()["primitiveType"].astype(str))
        kinds[kind] = kinds.get(kind, 0) + 1
    common = sorted(kinds, key=lambda kind: -kinds[kind])
    return ", ".join(f"{kinds[kind]} {kind}" for kind in common)

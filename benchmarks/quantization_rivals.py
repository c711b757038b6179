"""One network quantized by NNCF and by ONNX Runtime: run by `benchmarks.quantization`, in a Python
that has nncf, openvino and onnxruntime, and need not have this package.

    python benchmarks/quantization_rivals.py FOLDER

FOLDER holds float.onnx, calibration.npy and held_out.npy; this writes the logits of the held-out
images, <rival>_rival.npy, the networks, nncf.xml and onnxruntime_per_channel.onnx, and
versions.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    folder = Path(sys.argv[1])
    calibration, held_out = (
        np.load(folder / f"{name}.npy") for name in ("calibration", "held_out")
    )
    rivals: dict[str, Callable[[Path, Any], Callable[[Any], Any]]] = {
        "nncf": nncf,
        "onnxruntime_default": lambda folder, x: onnxruntime(folder, x, False),
        "onnxruntime_per_channel": lambda folder, x: onnxruntime(folder, x, True),
    }
    for name, quantize in rivals.items():
        run = quantize(folder, calibration)
        np.save(folder / f"{name}_rival.npy", np.concatenate([run(x[None]) for x in held_out]))
    packages = ("nncf", "openvino", "onnxruntime")
    (folder / "versions.json").write_text(json.dumps({p: version(p) for p in packages}))


def nncf(folder: Path, calibration: Any) -> Callable[[Any], Any]:
    """With its defaults, of what OpenVINO converts; run by OpenVINO."""
    import nncf
    import openvino

    model = openvino.convert_model(folder / "float.onnx")
    data = nncf.Dataset([x[None] for x in calibration])
    quantized = nncf.quantize(model, data, subset_size=len(calibration))
    openvino.save_model(quantized, folder / "nncf.xml", compress_to_fp16=False)
    compiled = openvino.Core().compile_model(quantized, "CPU")
    return lambda x: compiled(x)[0]


def onnxruntime(folder: Path, calibration: Any, per_channel: bool) -> Callable[[Any], Any]:
    """`quantize_static` with its other defaults, after its own preprocessing."""
    import onnxruntime
    from onnxruntime.quantization import CalibrationDataReader, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.images = iter(calibration)

        def get_next(self) -> Any:
            image = next(self.images, None)
            return None if image is None else {"images": image[None]}

    kind = "per_channel" if per_channel else "default"
    ready, quantized = folder / "ready.onnx", folder / f"onnxruntime_{kind}.onnx"
    quant_pre_process(folder / "float.onnx", ready, skip_symbolic_shape=True)
    quantize_static(ready, quantized, Reader(), per_channel=per_channel)
    session = onnxruntime.InferenceSession(quantized, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"images": x})[0]


if __name__ == "__main__":
    main()

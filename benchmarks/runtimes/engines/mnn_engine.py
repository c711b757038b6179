"""MNN by its module API; a session of its older one overwrites its input."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

DISTRIBUTION = "mnn"
_FILE = "model.mnn"


def write(folder: Path, threads: Sequence[int]) -> None:
    """Write MNN's own format, by way of ONNX."""
    import _tools  # of MNN: `mnnconvert` without what it reports home

    from benchmarks.runtimes.formats.onnx_file import write_onnx

    source = folder / "for_mnn.onnx"
    write_onnx(folder, source)
    arguments = {"-f": "ONNX", "--modelFile": source, "--MNNModel": folder / _FILE}
    words = [str(word) for pair in arguments.items() for word in pair]
    if not _tools.mnnconvert(["mnnconvert", *words, "--bizCode", "benchmark"]):
        raise RuntimeError(f"mnnconvert cannot convert {source.name}")


class Session:
    """A module with fixed sizes, its weights rearranged once."""

    def __init__(
        self, folder: Path, x: npt.NDArray[np.float32], threads: int, tune: bool = True
    ) -> None:
        import onnx
        from MNN import expr, nn

        graph = onnx.load(folder / "for_mnn.onnx").graph
        modes = {
            "precision_mode": expr.PrecisionMode.High,
            "power_mode": expr.PowerMode.High,
            "memory_mode": expr.MemoryMode.High,
        }
        self._module = nn.load_module_from_file(
            str(folder / _FILE),
            [graph.input[0].name],
            [graph.output[0].name],
            shape_mutable=False,
            rearrange=True,
            thread_num=threads,
            **modes,
        )
        self._x = expr.placeholder(list(x.shape), expr.data_format.NCHW, expr.dtype.float)
        self._shape = [int(size.dim_value) for size in graph.output[0].type.tensor_type.shape.dim]
        self.feed(x)
        self.settings = {
            **{name: str(mode) for name, mode in modes.items()},
            "thread_num": str(threads),
            "shape_mutable": "False",
            "rearrange": "True",
        }

    def feed(self, x: npt.NDArray[np.float32]) -> None:
        """Another input of the same shape."""
        self._x.write(np.ascontiguousarray(x))

    def run(self) -> None:
        """One inference; the result is read, since it is computed when it is asked for."""
        (result,) = self._module.forward([self._x])
        self._result = result.read()

    def output(self) -> npt.NDArray[np.float32]:
        """The logits [N, classes] of the last run."""
        return np.array(self._result, np.float32).reshape(self._shape)

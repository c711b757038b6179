"""TorchScript, traced and frozen, with the faster of what optimises it further."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.runtimes.engines.torch_common import TorchSession, load_module, quiet

DISTRIBUTION = "torch"
_FILE = "model.torchscript.pt"
# A profiling executor specialises in its first runs.
_WARM_UP = 5
_TRIALS = 5


def write(folder: Path, threads: Sequence[int]) -> None:
    """Trace, freeze and save."""
    import torch

    from benchmarks.runtimes.formats.network import read_network

    quiet()
    shape = read_network(folder).input_shape
    x = torch.zeros(shape).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        jit: Any = torch.jit
        jit.freeze(jit.trace(load_module(folder), x)).save(str(folder / _FILE))


class Session(TorchSession):
    """The frozen module, or one of its optimised forms."""

    def prepare(self, folder: Path, tune: bool) -> Any:
        """The fastest of three forms; the frozen one if nothing may be tried."""
        jit = self._torch.jit

        def load() -> Any:
            return jit.load(str(folder / _FILE))

        def onednn_graph() -> Any:
            jit.enable_onednn_fusion(True)
            return load()

        forms: dict[str, Callable[[], Any]] = {"frozen": load}
        if tune:
            forms["optimize_for_inference"] = lambda: jit.optimize_for_inference(load())
            # Last, since it switches a global on.
            forms["oneDNN graph"] = onednn_graph
        times: dict[str, float] = {}
        made: dict[str, Any] = {}
        for name, make in forms.items():
            try:
                made[name] = make()
                times[name] = self._trial(made[name])
            except RuntimeError as error:
                self.settings[f"{name} failed"] = str(error).splitlines()[0][:80]
        best = min(times, key=lambda name: times[name])
        jit.enable_onednn_fusion(best == "oneDNN graph")
        tried = ", ".join(f"{name} {1e3 * seconds:.2f} ms" for name, seconds in times.items())
        self.settings |= {"form": best} | ({"tried": tried} if tune else {})
        return made[best]

    def _trial(self, call: Any) -> float:
        """The shortest of a few runs in seconds."""
        times = []
        for _ in range(_WARM_UP + _TRIALS):
            start = time.perf_counter()
            call(self._x)
            times.append(time.perf_counter() - start)
        return min(times[_WARM_UP:])

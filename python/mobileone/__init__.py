"""MobileOne checkpoints in, fused networks out: re-parameterized, proven equal, fast on CPUs.

>>> import mobileone
>>> model = mobileone.load("mobileone_s0_unfused.pth.tar")  # any public layout
>>> fused = mobileone.reparameterize(model)
>>> print(mobileone.verify(model, fused))
>>> print(mobileone.benchmark({"train-time": model, "fused": fused}))

Names resolve on first use: `import mobileone` costs NumPy and nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobileone import _core as _core
    from mobileone.checkpoint.open import from_torch, load, reparameterize
    from mobileone.data.sampling import MultiScaleSampler
    from mobileone.measure.benchmarking import benchmark
    from mobileone.measure.profiling import profile
    from mobileone.model import Model
    from mobileone.network.compiled import CompiledModel
    from mobileone.network.create import create_model, list_models
    from mobileone.network.stored_plan import load_plan
    from mobileone.util.errors import CheckpointError
    from mobileone.util.machine.environment import show_config
    from mobileone.util.version import __version__
    from mobileone.verification.verify import verify

__all__ = [
    "CheckpointError",
    "CompiledModel",
    "Model",
    "MultiScaleSampler",
    "__version__",
    "benchmark",
    "create_model",
    "from_torch",
    "list_models",
    "load",
    "load_plan",
    "profile",
    "reparameterize",
    "show_config",
    "verify",
]

_HOMES = {
    "__version__": "util.version",
    "CheckpointError": "util.errors",
    "CompiledModel": "network.compiled",
    "Model": "model",
    "MultiScaleSampler": "data.sampling",
    "benchmark": "measure.benchmarking",
    "create_model": "network.create",
    "from_torch": "checkpoint.open",
    "list_models": "network.create",
    "load": "checkpoint.open",
    "load_plan": "network.stored_plan",
    "profile": "measure.profiling",
    "reparameterize": "checkpoint.open",
    "show_config": "util.machine.environment",
    "verify": "verification.verify",
}


def __getattr__(name: str) -> Any:
    if name == "_core":
        return importlib.import_module("mobileone._core")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mobileone' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"mobileone.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(__all__) | set(globals()))

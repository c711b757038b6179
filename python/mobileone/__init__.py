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
    from mobileone._version import __version__
    from mobileone.benchmarking import benchmark
    from mobileone.checkpoint import CheckpointError
    from mobileone.compiled import CompiledModel
    from mobileone.environment import show_config
    from mobileone.loading import from_torch, load, reparameterize
    from mobileone.model import Model
    from mobileone.packed_plan import load_plan
    from mobileone.profiling import profile
    from mobileone.registry import create_model, list_models
    from mobileone.sampling import MultiScaleSampler
    from mobileone.verification import verify

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
    "__version__": "_version",
    "CheckpointError": "checkpoint",
    "CompiledModel": "compiled",
    "Model": "model",
    "MultiScaleSampler": "sampling",
    "benchmark": "benchmarking",
    "create_model": "registry",
    "from_torch": "loading",
    "list_models": "registry",
    "load": "loading",
    "load_plan": "packed_plan",
    "profile": "profiling",
    "reparameterize": "loading",
    "show_config": "environment",
    "verify": "verification",
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

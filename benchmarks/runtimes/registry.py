"""The engines by name, and what stands in the way of running them."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass

__all__ = ["DEFAULT", "ENGINES", "OURS", "Engine", "find_engine"]

OURS = "mobileone"


@dataclass(frozen=True)
class Engine:
    """An engine's name, its module in `engines`, its package, and how it can be held to an ISA.

    ``isa_variables`` maps an ISA to the environment that holds the engine to it; empty where the
    engine has no such switch. ``dtypes``: what its products can be set to; ``quantizer``: the
    package that makes its int8 networks, if that is another one.
    """

    name: str
    module: str
    distribution: str
    isa_variables: dict[str, dict[str, str]]
    default: bool = True
    dtypes: tuple[str, ...] = ("float32",)
    quantizer: str | None = None

    def version(self) -> str | None:
        """The installed version; None if the package is not installed."""
        try:
            return importlib.metadata.version(self.distribution)
        except importlib.metadata.PackageNotFoundError:
            return None

    def missing(self, dtype: str) -> str | None:
        """The package that is not installed and would be needed."""
        needed = [self.distribution]
        if dtype == "int8" and self.quantizer is not None:
            needed.append(self.quantizer)
        for name in needed:
            try:
                importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                return name
        return None

    def isa_environment(self, isa: str | None) -> dict[str, str]:
        """Environment variables that hold the engine to ``isa``; none for None."""
        return {} if isa is None else self.isa_variables.get(isa, {})


def _onednn(isa: str) -> dict[str, str]:
    name = {"avx2": "AVX2", "avx512": "AVX512_CORE"}[isa]
    return {"ONEDNN_MAX_CPU_ISA": name, "DNNL_MAX_CPU_ISA": name}


def _torch(isa: str) -> dict[str, str]:
    mkl = {"avx2": "AVX2", "avx512": "AVX512"}[isa]
    return _onednn(isa) | {"ATEN_CPU_CAPABILITY": isa, "MKL_ENABLE_INSTRUCTIONS": mkl}


_ISAS = ("avx2", "avx512")
_HELD_BY_ONEDNN = {isa: _onednn(isa) for isa in _ISAS}
_HELD_TORCH = {isa: _torch(isa) for isa in _ISAS}

_HELD_OURS = {isa: _onednn(isa) | {"MOBILEONE_MAX_ISA": isa} for isa in _ISAS}

_WIDE, _INTEGERS = ("float32", "bfloat16"), ("float32", "int8")
_ALL = (*_WIDE, "int8")

ENGINES = (
    Engine(OURS, "mobileone_engine", "mobileone", _HELD_OURS, dtypes=_ALL),
    # What ours is faster than, if it is; only where it is another one than ours.
    Engine(
        "mobileone-float32",
        "mobileone_float32_engine",
        "mobileone",
        _HELD_OURS,
        dtypes=("bfloat16", "int8"),
    ),
    Engine(
        "mobileone-bfloat16", "mobileone_bfloat16_engine", "mobileone", _HELD_OURS, dtypes=("int8",)
    ),
    Engine("mobileone-onednn", "mobileone_onednn_engine", "mobileone", _HELD_OURS, default=False),
    Engine(
        "mobileone-plan",
        "mobileone_plan_engine",
        "mobileone",
        _HELD_OURS,
        default=False,
        dtypes=_INTEGERS,
    ),
    Engine(
        "openvino", "openvino_engine", "openvino", _HELD_BY_ONEDNN, dtypes=_ALL, quantizer="nncf"
    ),
    # MLAS, XNNPACK, ncnn and MNN pick their kernels by CPUID and have no switch.
    Engine("onnxruntime", "onnxruntime_engine", "onnxruntime", {}, dtypes=_INTEGERS),
    Engine(
        "litert",
        "litert_engine",
        "ai-edge-litert",
        {},
        dtypes=_INTEGERS,
        quantizer="ai-edge-quantizer",
    ),
    Engine("ncnn", "ncnn_engine", "ncnn", {}),
    Engine("mnn", "mnn_engine", "mnn", {}, default=False),
    Engine("torchscript", "torchscript_engine", "torch", _HELD_TORCH),
    Engine("torch-eager", "torch_eager_engine", "torch", _HELD_TORCH),
    Engine(
        "torch-compile",
        "torch_compile_engine",
        "torch",
        _HELD_TORCH,
        default=False,
        dtypes=_INTEGERS,
        quantizer="torchao",
    ),
)

DEFAULT = tuple(engine.name for engine in ENGINES if engine.default)


def find_engine(name: str) -> Engine:
    """The engine of that name; ValueError with the known names if there is none."""
    for engine in ENGINES:
        if engine.name == name:
            return engine
    known = ", ".join(engine.name for engine in ENGINES)
    raise ValueError(f"engines has {name!r}; expected some of {known}")

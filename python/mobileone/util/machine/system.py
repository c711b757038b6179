"""Facts about the machine, read from /proc and /sys; what cannot be read is None or empty."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path
from typing import Any

__all__ = ["caches", "cpu_facts", "openmp_runtimes"]

# The instruction sets that decide which kernels can run, of all the flags a CPU lists.
_ISA_FLAGS = re.compile(r"(sse4_[12]|avx\w*|fma|f16c|amx_\w+|asimd\w*|sve\w*|i8mm|bf16)")
_OPENMP_LIBRARY = re.compile(
    r"lib(gomp|iomp5|omp)[-.][\w.-]*so[\w.]*|lib(gomp|iomp5|omp)\.so[\w.]*"
)


def cpu_facts(root: Path = Path("/")) -> dict[str, Any]:
    """Model, architecture, logical cores, ISA flags, caches and frequency governor."""
    info = _cpuinfo(root)
    flags = info.get("flags", info.get("Features", "")).split()
    cpu0 = root / "sys/devices/system/cpu/cpu0"
    return {
        "model": info.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "logical_cores": os.cpu_count(),
        "isa_flags": sorted(flag for flag in flags if _ISA_FLAGS.fullmatch(flag)),
        "caches": caches(root),
        "governor": _text(cpu0 / "cpufreq/scaling_governor"),
    }


def _cpuinfo(root: Path) -> dict[str, str]:
    """The first processor's block of /proc/cpuinfo."""
    block = (_text(root / "proc/cpuinfo") or "").split("\n\n")[0]
    pairs = (line.partition(":") for line in block.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


def caches(root: Path = Path("/")) -> list[dict[str, Any]]:
    """The data and unified caches of CPU 0: level, type, size in bytes, CPUs that share it."""
    found = []
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*")):
        level, kind, size = (_text(folder / name) for name in ("level", "type", "size"))
        if level is None or kind is None or size is None or kind == "Instruction":
            continue
        shared = _text(folder / "shared_cpu_list")
        found.append(
            {"level": int(level), "type": kind, "bytes": _size(size), "shared_cpus": shared}
        )
    return found


def _size(text: str) -> int | None:
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    return int(match[1]) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[match[2]] if match else None


def openmp_runtimes(root: Path = Path("/")) -> list[dict[str, Any]]:
    """Every OpenMP runtime loaded into this process: path, and threads if threadpoolctl knows.

    More than one means two thread pools that compete for the same cores.
    """
    paths: dict[str, None] = {}
    for line in (_text(root / "proc/self/maps") or "").splitlines():
        fields = line.split(maxsplit=5)
        if len(fields) == 6 and _OPENMP_LIBRARY.fullmatch(Path(fields[5]).name):
            paths[fields[5]] = None
    details = _threadpoolctl_details()
    return [{"path": path, **details.get(path, {})} for path in paths]


def _threadpoolctl_details() -> dict[str, dict[str, Any]]:
    try:
        import threadpoolctl
    except ImportError:
        return {}
    return {
        entry["filepath"]: {"prefix": entry["prefix"], "num_threads": entry["num_threads"]}
        for entry in threadpoolctl.threadpool_info()
        if entry["user_api"] == "openmp"
    }


def _text(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return None

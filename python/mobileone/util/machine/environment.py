"""What a number was measured on: CPU, limits, threads, versions, compiler, OpenMP runtimes."""

from __future__ import annotations

import dataclasses
import importlib
import os
import platform
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from mobileone.util.machine.system import cpu_facts, openmp_runtimes
from mobileone.util.machine.threads import physical_cores, thread_count
from mobileone.util.tables import MISSING, Column, Table, bytes_text
from mobileone.util.version import __version__

__all__ = ["Config", "fingerprint", "show_config"]

# Variables that change what oneDNN or OpenMP do, and so what a measurement means.
_VARIABLES = ("OMP_", "GOMP_", "KMP_", "ONEDNN_", "DNNL_", "MOBILEONE_")


def fingerprint() -> dict[str, Any]:
    """Everything that a timing depends on, as JSON-serialisable values.

    Keys: ``cpu``, ``limits``, ``threads``, ``os``, ``versions``, ``engine``,
    ``openmp_runtimes``, ``variables``. What cannot be read is None.
    """
    engine = _engine()
    with warnings.catch_warnings():
        # The reason for a bad OMP_NUM_THREADS is part of the result; no need to warn again.
        warnings.simplefilter("ignore", RuntimeWarning)
        choice = thread_count()
    cpu = cpu_facts()
    cpu["physical_cores"] = physical_cores(range(os.cpu_count() or 1))
    affinity = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "cpu": cpu,
        "limits": {"affinity": affinity, "cgroup_quota": choice.cgroup_quota},
        "threads": dataclasses.asdict(choice),
        "os": {"system": platform.platform(), "kernel": platform.release()},
        "versions": {
            "python": sys.version.split()[0],
            "implementation": platform.python_implementation(),
            "numpy": np.__version__,
            "mobileone": __version__,
        },
        "engine": engine,
        "openmp_runtimes": openmp_runtimes(),
        "variables": _variables(),
    }


def show_config() -> Config:
    """The fingerprint of this process as an object that shows itself as a table."""
    return Config(fingerprint())


class Config:
    """A fingerprint; prints as an aligned table, in notebooks as an HTML one."""

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self._facts = dict(facts)

    def to_dict(self) -> dict[str, Any]:
        """The fingerprint as plain, JSON-serialisable values."""
        return dict(self._facts)

    def table(self) -> Table:
        """Two columns, one fact a row, most important first."""
        facts = self._facts
        rows = [*_engine_rows(facts), *_cpu_rows(facts["cpu"]), *_thread_rows(facts)]
        rows += [(f"openmp {i}", _runtime(r)) for i, r in enumerate(facts["openmp_runtimes"])]
        rows += [(name, value) for name, value in facts["variables"].items()]
        columns = [Column("setting", "left"), Column("value", "left")]
        return Table("mobileone configuration", columns, rows, self._notes())

    def _notes(self) -> list[str]:
        runtimes = self._facts["openmp_runtimes"]
        if len(runtimes) < 2:
            return []
        return [f"note: {len(runtimes)} OpenMP runtimes are loaded and may compete for cores"]

    def __repr__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        return self.table().to_html()


def _engine() -> dict[str, Any]:
    """Facts the compiled extension tells; ``error`` instead where it cannot be loaded."""
    try:
        core = importlib.import_module("mobileone._core")
    except ImportError as error:
        return {"error": str(error)}
    facts: dict[str, Any] = {"onednn": core.onednn_version(), "build": dict(core.build_info())}
    facts["channel_block"] = core.onednn_channel_block()
    facts["isa"] = core.isa()
    facts["available_isas"] = core.available_isas()
    return facts


def _variables() -> dict[str, str]:
    # threadpoolctl sets this one itself when it is imported.
    chosen = {k for k in os.environ if k.startswith(_VARIABLES)} - {"KMP_DUPLICATE_LIB_OK"}
    return {name: os.environ[name] for name in sorted(chosen)}


def _engine_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    versions, engine = facts["versions"], facts["engine"]
    rows = [("mobileone", versions["mobileone"])]
    if "error" in engine:
        rows.append(("engine", f"not loaded: {engine['error']}"))
    else:
        rows += [
            ("oneDNN", str(engine["onednn"])),
            ("kernels", f"{engine['isa']} (of {', '.join(engine['available_isas']) or 'none'})"),
            ("channel block", _block(engine["channel_block"])),
        ]
        rows += [(f"build {name}", str(value)) for name, value in engine["build"].items()]
    python = f"{versions['implementation']} {versions['python']}"
    return [*rows, ("Python", python), ("NumPy", versions["numpy"]), ("OS", facts["os"]["system"])]


def _block(channels: int) -> str:
    """oneDNN's blocked layout tells which instruction set it uses."""
    return f"{channels} ({'AVX-512' if channels == 16 else 'AVX2 or older'})"


def _cpu_rows(cpu: Mapping[str, Any]) -> list[tuple[str, str]]:
    sizes = [f"L{c['level']} {bytes_text(c['bytes'])}" for c in cpu["caches"]]
    return [
        ("CPU", f"{cpu['model']} ({cpu['architecture']})"),
        ("cores", f"{cpu['physical_cores']} physical, {cpu['logical_cores']} logical"),
        ("caches", ", ".join(sizes) or MISSING),
        ("CPU flags", " ".join(cpu["isa_flags"]) or MISSING),
        ("governor", cpu["governor"] or MISSING),
    ]


def _thread_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    threads, affinity = facts["threads"], facts["limits"]["affinity"]
    quota = threads["cgroup_quota"]
    return [
        ("threads", f"{threads['count']} ({threads['reason']})"),
        ("affinity", MISSING if affinity is None else f"{len(affinity)} CPUs {_ranges(affinity)}"),
        ("cgroup quota", "none" if quota is None else f"{quota:g} CPUs"),
    ]


def _ranges(cpus: list[int]) -> str:
    """[0, 1, 2, 5] -> '0-2,5'."""
    runs: list[list[int]] = []
    for cpu in cpus:
        if runs and cpu == runs[-1][1] + 1:
            runs[-1][1] = cpu
        else:
            runs.append([cpu, cpu])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)


def _runtime(runtime: Mapping[str, Any]) -> str:
    threads = runtime.get("num_threads")
    return f"{runtime['path']}" + (f" ({threads} threads)" if threads else "")

"""What tuning found on this machine: a file in the user's cache folder, used by later compiles.

By network (its graph, without the weights) and image size, `algorithms` say which steps take
Winograd's algorithm (1) or levels of Strassen's (1 or 2), by the name of a node: all that an
image's bits depend on, so that they are shared by all numbers of threads and batch sizes.
`tilings`, by both of them, say how the steps are cut up: [rows of a tile, parts of its channels].
"""

from __future__ import annotations

import os
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

# No json, hashlib or pathlib: a first compile that finds its choices takes no longer for them.
from mobileone._core import (
    Graph,
    __version__,
    checksum,
    isa,
    machine_model,
    machine_name,
    parse_json,
)

if TYPE_CHECKING:  # a process that only runs a network does without it
    from pathlib import Path

__all__ = ["LEVELS", "Choices", "Tuned", "cache_path", "find_choices", "find_tuned", "store_tuned"]

_VARIABLE = "MOBILEONE_TUNE_CACHE"
_FORMAT = "mobileone.tuning/1"
_MAX_BYTES = 16 << 20
_MOST = 1 << 14  # rows or parts

# Of Strassen's algorithm; 1 is Winograd's as well.
LEVELS = (0, 1, 2)

# Of steps by the name of a node: what the engine takes as `choices`.
Choices = dict[str, dict[str, int]]


class Tuned(NamedTuple):
    """What is known of a network at an image size: see above.

    Attributes:
        algorithms: by node; empty when nothing is known.
        tiling: by node, for one number of threads and images; None when not tuned for it.
    """

    algorithms: dict[str, int]
    tiling: dict[str, tuple[int, int]] | None

    def choices(self) -> Choices:
        """The same for the engine."""
        found = {node: {"strassen": strassen} for node, strassen in self.algorithms.items()}
        for node, (rows, parts) in (self.tiling or {}).items():
            found[node] |= {"rows": rows, "column_parts": parts}
        return found


def cache_path() -> Path | None:
    """The file: $MOBILEONE_TUNE_CACHE, None where that is empty or "off", or tuning.json in the
    user's cache folder."""
    from pathlib import Path

    name = _file_name()
    return None if name is None else Path(name)


def _file_name() -> str | None:
    chosen = os.environ.get(_VARIABLE)
    if chosen is not None:
        return None if chosen in ("", "off") else chosen
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if folder.startswith("~"):  # no home
        return None
    return os.path.join(folder, "mobileone", "tuning.json")


def find_choices(graph: Graph, input_shape: tuple[int, ...], threads: int) -> Choices:
    """What plans of that shape are made with; empty when nothing is known."""
    return find_tuned(graph, input_shape, threads).choices()


def find_tuned(graph: Graph, input_shape: tuple[int, ...], threads: int) -> Tuned:
    """What the file says of this machine and that plan."""
    machines = _machines()
    networks = machines.get(_machine()) if machines else None
    entry = networks.get(_network(graph, input_shape)) if networks else None
    if entry is None:
        return Tuned({}, None)
    tiling = entry["tilings"].get(_plan(input_shape, threads))
    return Tuned(
        entry["algorithms"],
        None if tiling is None else {node: (rows, parts) for node, (rows, parts) in tiling.items()},
    )


def store_tuned(
    graph: Graph, input_shape: tuple[int, ...], threads: int, tuned: Tuned
) -> Path | None:
    """Add to the file, which is replaced whole; the file, or None where there is none.

    Another process's addition at the same moment may be lost. A file that cannot be written is a
    warning.
    """
    import json

    from mobileone.util.files import whole_file

    path = cache_path()
    if path is None:
        return None
    machines = _machines()
    networks = dict(machines.get(_machine(), {}))
    key = _network(graph, input_shape)
    old = networks.get(key, {"tilings": {}})
    tilings = {**old["tilings"], _plan(input_shape, threads): tuned.tiling or {}}
    networks[key] = {"algorithms": tuned.algorithms, "tilings": tilings}
    text = json.dumps({"format": _FORMAT, "machines": {**machines, _machine(): networks}})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(text.encode())
    except OSError as error:
        warnings.warn(f"what tuning found is not kept: {error}", stacklevel=2)
        return None
    return path


def _machine() -> str:
    """What a choice is good for: CPU, caches, instruction set, version."""
    model = machine_model()
    caches = (f"{name[:2]} {int(model.get(name, 0))}" for name in ("l1_bytes", "l2_bytes"))
    return ", ".join((_cpu(), machine_name(), *caches, isa(), __version__))


@cache
def _cpu() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = (line.partition(":")[2].strip() for line in file if "model name" in line)
            return next(names, os.uname().machine)
    except OSError:
        return os.uname().machine


def _network(graph: Graph, input_shape: tuple[int, ...]) -> str:
    # 64 bits: remainders of the text and of the text read backwards.
    text = graph.to_json().encode()
    digest = f"{checksum(text):08x}{checksum(text[::-1]):08x}"
    return f"{digest} {'x'.join(map(str, input_shape[1:]))}"


def _plan(input_shape: tuple[int, ...], threads: int) -> str:
    return f"{threads} threads, {input_shape[0]} images"


# The file as it was last read: its name, time and size, and what it says.
_last: tuple[Any, dict[str, Any]] = (None, {})


def _machines() -> dict[str, Any]:
    """By machine what the file says; nothing without one, or with a warning if it is none such."""
    global _last
    name = _file_name()
    if name is None:
        return {}
    try:
        facts = os.stat(name)
    except OSError:
        return {}
    state = (name, facts.st_mtime_ns, facts.st_size)
    if _last[0] != state:
        machines: dict[str, Any] = {}
        try:
            if facts.st_size > _MAX_BYTES:
                raise ValueError(f"has {facts.st_size} bytes; expected at most {_MAX_BYTES}")
            with open(name, "rb") as file:
                machines = _checked(parse_json(file.read(_MAX_BYTES)))
        except (OSError, ValueError) as error:
            warnings.warn(
                f"{name}: is ignored, no file of tuning's: {error}; remove it or set {_VARIABLE}",
                stacklevel=2,
            )
        _last = (state, machines)
    return _last[1]


def _checked(value: Any) -> dict[str, Any]:
    """Its machines; ValueError for anything that `store_tuned` does not write."""
    if type(value) is not dict or value.get("format") != _FORMAT:
        raise ValueError(f"expected an object with format {_FORMAT!r}")
    machines = _by_name(value.get("machines"), "machines")
    for networks in machines.values():
        for name, entry in _by_name(networks, "networks").items():
            if type(entry) is not dict or entry.keys() != {"algorithms", "tilings"}:
                raise ValueError(f"{name}: expected algorithms and tilings")
            algorithms = _by_name(entry["algorithms"], "algorithms")
            if not all(type(one) is int and one in LEVELS for one in algorithms.values()):
                raise ValueError(f"{name}: expected 0, 1 or 2 as every algorithm")
            for tiling in _by_name(entry["tilings"], "tilings").values():
                for node, cut in _by_name(tiling, "a tiling").items():
                    if node not in algorithms or not _is_cut(cut):
                        raise ValueError(f"{name}: {node}: expected rows and parts, 1 to {_MOST}")
    return machines


def _by_name(value: Any, what: str) -> dict[str, Any]:
    if type(value) is not dict:
        raise ValueError(f"{what}: expected an object")
    return value


def _is_cut(value: Any) -> bool:
    whole = type(value) is list and len(value) == 2
    return whole and all(type(n) is int and 1 <= n <= _MOST for n in value)

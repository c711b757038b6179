"""What each field of a stored plan's header may be."""

from __future__ import annotations

from typing import Any

__all__ = ["EXPECTED", "FIELDS"]

_MAX_THREADS = 1024
# Of a height, a width, a number of channels, ...: far above any network, far below overflow.
_MAX_SIZE = 1 << 14


def _size(value: Any, least: int = 1, most: int = _MAX_SIZE) -> bool:
    return type(value) is int and least <= value <= most


def _is_record(value: Any) -> bool:
    return isinstance(value, dict) and all(_size(n, -(1 << 40), 1 << 40) for n in value.values())


def _is_place(value: Any) -> bool:
    whole = isinstance(value, list) and len(value) == 3
    return whole and all(_size(n, 0, 1 << 40) for n in value) and value[2] < 1 << 32


FIELDS: dict[str, tuple[type | tuple[type, ...], Any]] = {
    "name": (str, lambda _: True),
    "arch": (str, lambda _: True),
    "config": (dict, lambda _: True),  # what it says: `StoredPlan.config`
    "graph": (str, lambda _: True),
    "class_names": (
        (list, type(None)),
        lambda v: v is None or all(isinstance(name, str) for name in v),
    ),
    "data_config": (str, lambda _: True),
    "input_shape": (list, lambda v: all(_size(n) for n in v)),
    "dtype": (str, lambda v: v in ("float32", "bfloat16")),
    "threads": (int, lambda v: _size(v, most=_MAX_THREADS)),
    "records": (dict, lambda v: all(map(_is_record, v.values()))),
    "weights": (dict, lambda v: all(map(_is_place, v.values()))),
    "weights_bytes": (int, lambda v: _size(v, 0, 1 << 40)),
}
EXPECTED = {
    "name": "a string",
    "arch": "a string",
    "config": "a configuration of create_model",
    "graph": "a graph as JSON",
    "class_names": "a list of strings, or null",
    "data_config": "a string",
    "input_shape": "four sizes",
    "dtype": "'float32' or 'bfloat16'",
    "threads": f"an integer from 1 to {_MAX_THREADS}",
    "records": "integers by name, by node",
    "weights": "[offset, bytes, checksum] by name",
    "weights_bytes": "a number of bytes",
}

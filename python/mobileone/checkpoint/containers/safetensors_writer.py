"""Writing .safetensors files, whole or not at all."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.safetensors_reader import DTYPE_NAMES, MAX_HEADER
from mobileone.checkpoint.containers.tensors import dtype_name
from mobileone.util.errors import shown
from mobileone.util.files import whole_file

_CODES = {name: code for code, name in DTYPE_NAMES.items()}
_ALIGNMENT = 64


def save_safetensors(
    path: str | os.PathLike[str],
    state: Mapping[str, npt.NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Writes arrays by name as a .safetensors file.

    The file appears under its name only when it is complete, so that neither a full disk nor an
    interruption leaves half a file, and saving over a file that is still mapped is safe.

    Args:
        path: where to; an existing file is replaced.
        state: name -> array of a dtype that the format has.
        metadata: strings to travel with the tensors.

    Raises:
        ValueError: a dtype that the format does not have, or a header too large to be read back.
        TypeError: metadata that is not strings.
    """
    for key, value in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"metadata {key!r}: {value!r}; the format stores strings only")
    # The widest elements first: every tensor is then aligned to its own element size.
    order = sorted(state, key=lambda name: -state[name].dtype.itemsize)
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    position = 0
    for name in order:
        array = state[name]
        code = _CODES.get(dtype_name(array.dtype))
        if code is None:
            raise ValueError(f"{shown(name)}: dtype {array.dtype} cannot be saved")
        span = [position, position + array.nbytes]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": span}
        position += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNMENT)
    if len(text) > MAX_HEADER:
        raise ValueError(f"names and metadata take {len(text)} bytes; at most {MAX_HEADER}")
    with whole_file(path) as file:
        file.writelines([struct.pack("<Q", len(text)), text])
        for name in order:
            file.write(little_endian_bytes(state[name]))


def little_endian_bytes(array: npt.NDArray[Any]) -> memoryview:
    """The elements in row-major order, copied only where they are not so already."""
    ordered = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8).data

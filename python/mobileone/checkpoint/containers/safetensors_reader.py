"""The .safetensors container, read in place and written.

The format is 8 bytes of header length, a JSON header, then the tensors. The safetensors package
copies every tensor and has no bfloat16 under NumPy; reading the header ourselves gives views of the
mapped file, one kind of error, and no dependency. The tests compare both.
"""

from __future__ import annotations

import json
import math
import struct
from typing import Any

from mobileone.checkpoint.containers.tensors import (
    DTYPES,
    MAX_RANK,
    RawTensor,
    Storage,
    contiguous_strides,
)
from mobileone.util.errors import CheckpointError, shown

_LENGTH = struct.Struct("<Q")
# The key list of the largest network here takes 0.2 MB.
MAX_HEADER = 16 << 20

DTYPE_NAMES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu",
}


def looks_like_safetensors(head: bytes) -> bool:
    """Whether a file's first bytes may be a safetensors header: a length, then a JSON object."""
    return len(head) > _LENGTH.size and head[_LENGTH.size : _LENGTH.size + 1] == b"{"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def _integer(text: str) -> int:
    if len(text) > 20:
        raise ValueError(f"an integer of {len(text)} digits")
    return int(text)


def _constant(text: str) -> float:
    raise ValueError(f"the constant {text}")


def _header(data: memoryview, where: str) -> tuple[dict[str, Any], memoryview]:
    length = _LENGTH.unpack(data[: _LENGTH.size])[0]
    start = _LENGTH.size + length
    if length > MAX_HEADER or start > len(data):
        raise CheckpointError(
            f"{where}: declares a header of {length} bytes; the file has {len(data)}, and "
            f"{MAX_HEADER} is the most accepted"
        )
    try:
        header = json.loads(
            bytes(data[_LENGTH.size : start]).decode(),
            object_pairs_hook=_unique,
            parse_int=_integer,
            parse_constant=_constant,
        )
    except (ValueError, RecursionError) as error:
        problem = shown(str(error))
        raise CheckpointError(f"{where}: damaged safetensors header: {problem}") from error
    if type(header) is not dict:
        raise CheckpointError(f"{where}: the safetensors header is not an object")
    return header, data[start:]


def _tensor(name: str, entry: object, body: memoryview, where: str) -> tuple[int, RawTensor]:
    """Where the tensor starts in the body, and the tensor."""
    where = f"{where}: {shown(name)}"
    if type(entry) is not dict or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise CheckpointError(f"{where}: expected an object with dtype, shape and data_offsets")
    code, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if type(code) is not str or code not in DTYPE_NAMES:
        raise CheckpointError(f"{where}: unknown dtype {shown(str(code)[:40])}")
    if type(shape) is not list or any(type(n) is not int or n < 0 for n in shape):
        raise CheckpointError(f"{where}: the shape is not a list of sizes")
    if len(shape) > MAX_RANK:
        raise CheckpointError(f"{where}: {len(shape)} dimensions; at most {MAX_RANK} are expected")
    if type(span) is not list or len(span) != 2 or any(type(n) is not int for n in span):
        raise CheckpointError(f"{where}: data_offsets is not a pair of integers")
    begin, end = span
    dtype = DTYPE_NAMES[code]
    needed = math.prod(shape) * DTYPES[dtype][1]
    if not 0 <= begin <= end <= len(body) or end - begin != needed:
        raise CheckpointError(
            f"{where}: {code} of shape {tuple(shape)} takes {needed} bytes; its offsets are "
            f"{begin} to {end} of {len(body)}"
        )
    storage = Storage(name, needed, body[begin:end])
    tensor = RawTensor(storage, dtype, tuple(shape), contiguous_strides(tuple(shape)))
    tensor.check(where)
    return begin, tensor


def read_safetensors(data: memoryview, where: str) -> tuple[dict[str, RawTensor], dict[str, str]]:
    """Tensors by name as views of the mapped file, and the metadata.

    Raises:
        CheckpointError: the header or any offset in it does not fit the file. As the format
            demands, the tensors cover everything after the header, without overlap.
    """
    header, body = _header(data, where)
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or any(type(v) is not str for v in metadata.values()):
        raise CheckpointError(f"{where}: __metadata__ does not map strings to strings")
    tensors: dict[str, RawTensor] = {}
    spans = []
    for name, entry in header.items():
        begin, tensor = _tensor(name, entry, body, where)
        tensors[name] = tensor
        spans.append((begin, begin + tensor.storage.nbytes, name))
    position = 0
    for begin, end, name in sorted(spans):
        if begin != position:
            kind = "overlaps the one before it" if begin < position else "leaves a gap before it"
            raise CheckpointError(f"{where}: {shown(name)} at byte {begin} {kind}")
        position = end
    if position != len(body):
        raise CheckpointError(
            f"{where}: tensors take {position} bytes; {len(body)} follow the header"
        )
    return tensors, metadata

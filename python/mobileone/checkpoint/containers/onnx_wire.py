"""An ONNX file's bytes without its weights: protobuf's wire format, as far as finding them takes.

A file of gigabytes is mostly initializers. They stay where they are: what is parsed is the file
with every large `raw_data` left out, and where each one lies is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mobileone.util.errors import CheckpointError

__all__ = ["LightFile", "Span", "lighten", "record_head", "varint"]

# Field numbers of ModelProto, GraphProto and TensorProto.
GRAPH, INITIALIZER, RAW_DATA = 7, 5, 9
_LENGTH_DELIMITED = 2
_FIXED = {1: 8, 5: 4}
# Bytes from which raw_data is left out.
_LARGE = 1024


class Span(NamedTuple):
    """Bytes of a file."""

    offset: int
    length: int


class LightFile(NamedTuple):
    """A model without its large weights.

    Attributes:
        proto: the serialized ModelProto without them.
        payloads: of the initializers without `raw_data`, by index, where in the file it lies.
    """

    proto: bytes
    payloads: dict[int, Span]


class _Field(NamedTuple):
    """A field: where its record begins, and where its content begins and ends."""

    number: int
    kind: int
    start: int
    content: int
    end: int


def lighten(data: memoryview, source: str) -> LightFile:
    """Find the weights of a serialized ModelProto.

    Args:
        data: the whole file.
        source: its name, for errors.

    Raises:
        CheckpointError: the bytes are not a protobuf message.
    """
    parts: list[bytes] = []
    payloads: dict[int, Span] = {}
    graphs = 0
    for field in _fields(data, 0, len(data), source):
        if field.number != GRAPH or field.kind != _LENGTH_DELIMITED:
            parts.append(bytes(data[field.start : field.end]))
            continue
        graphs += 1
        if graphs > 1:
            raise CheckpointError(f"{source}: found two graphs in one ONNX model; expected one")
        light = _light_graph(data, field, payloads, source)
        parts += [record_head(GRAPH, len(light)), light]
    return LightFile(b"".join(parts), payloads)


def _light_graph(data: memoryview, graph: _Field, payloads: dict[int, Span], source: str) -> bytes:
    parts: list[bytes] = []
    count = 0
    for field in _fields(data, graph.content, graph.end, source):
        if field.number == INITIALIZER and field.kind == _LENGTH_DELIMITED:
            light, payload = _light_tensor(data, field, source)
            if payload is not None:
                payloads[count] = payload
            count += 1
            parts += [record_head(INITIALIZER, len(light)), light]
        else:
            parts.append(bytes(data[field.start : field.end]))
    return b"".join(parts)


def _light_tensor(data: memoryview, tensor: _Field, source: str) -> tuple[bytes, Span | None]:
    """The tensor without its `raw_data`, and where that is, if it is large."""
    parts: list[bytes] = []
    payload: Span | None = None
    for field in _fields(data, tensor.content, tensor.end, source):
        length = field.end - field.content
        if field.number == RAW_DATA and field.kind == _LENGTH_DELIMITED and length >= _LARGE:
            payload = Span(field.content, length)  # the last one counts, as for any reader
        else:
            if field.number == RAW_DATA:
                payload = None
            parts.append(bytes(data[field.start : field.end]))
    return b"".join(parts), payload


def _fields(data: memoryview, start: int, end: int, source: str) -> Iterator[_Field]:
    position = start
    while position < end:
        key, content = _read_varint(data, position, end, source)
        number, kind = key >> 3, key & 7
        if kind == 0:
            _, stop = _read_varint(data, content, end, source)
        elif kind == _LENGTH_DELIMITED:
            length, content = _read_varint(data, content, end, source)
            stop = content + length
        elif kind in _FIXED:
            stop = content + _FIXED[kind]
        else:
            raise _damaged(source, position, f"a field of wire type {kind}")
        if number == 0 or stop > end:
            what = "field number 0" if number == 0 else f"a field that ends at byte {stop}"
            raise _damaged(source, position, f"{what}, in a message that ends at byte {end}")
        yield _Field(number, kind, position, content, stop)
        position = stop


def _read_varint(data: memoryview, position: int, end: int, source: str) -> tuple[int, int]:
    """A number and the position after it."""
    value = 0
    for index in range(10):
        if position + index >= end:
            break
        byte = data[position + index]
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, position + index + 1
    raise _damaged(source, position, "a number that does not end")


def _damaged(source: str, position: int, found: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: found {found} at byte {position}; expected an ONNX model (protobuf)"
    )


def varint(value: int) -> bytes:
    """A number >= 0 as the wire format writes it."""
    parts = bytearray()
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    parts.append(value)
    return bytes(parts)


def record_head(number: int, length: int) -> bytes:
    """What stands before a length-delimited field's content."""
    return varint(number << 3 | _LENGTH_DELIMITED) + varint(length)

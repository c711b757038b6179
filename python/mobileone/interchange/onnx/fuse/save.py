"""A document written as a file: what was changed, and every other byte from where it lies."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from mobileone.checkpoint.containers.onnx_document import (
    EXTERNAL,
    Document,
    attribute_tensors,
    tensors_of,
)
from mobileone.checkpoint.containers.onnx_wire import GRAPH, INITIALIZER, RAW_DATA, record_head

__all__ = ["save"]

_CHUNK = 1 << 20
_ALIGNMENT = 64
_MAX_BYTES = 2**31 - 1


def save(document: Document, path: str | os.PathLike[str]) -> None:
    """Write the model to a new file; weights in a second one go into `<name>.data` beside it.

    Raises:
        ValueError: what is to be one file has 2 GiB and more.
    """
    model = document.model
    if any(tensor.data_location == EXTERNAL for tensor in _all_tensors(model)):
        target = os.fsdecode(path) + ".data"
        with open(target, "wb") as file:
            _move_out(document, file, os.path.basename(target))
            _save_model(document, path)
    else:
        _save_model(document, path)


def _all_tensors(model: Any) -> Iterator[Any]:
    yield from tensors_of(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from attribute_tensors(node)


def _move_out(document: Document, file: BinaryIO, location: str) -> None:
    """Copy all external weights, and put new large ones there, too."""
    graph = document.model.graph
    for tensor in _all_tensors(document.model):
        if tensor.data_location == EXTERNAL:
            _move(document, tensor, file, location)
    for tensor in graph.initializer:
        if tensor.name in document.new:
            _move(document, tensor, file, location)


def _move(document: Document, tensor: Any, file: BinaryIO, location: str) -> None:
    data = document.raw(tensor)
    assert data is not None  # external and new ones have their bytes outside of the model
    file.write(b"\0" * (-file.tell() % _ALIGNMENT))
    entries = {"location": location, "offset": file.tell(), "length": len(data)}
    _copy(data, file)
    del tensor.external_data[:]
    for key, value in entries.items():
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    tensor.data_location = EXTERNAL
    document.payloads.pop(tensor.name, None)


def _save_model(document: Document, path: str | os.PathLike[str]) -> None:
    """The model's records in an order of their own, which no reader of protobuf minds."""
    model = document.model
    initializers = [
        (tensor.SerializeToString(), document.payloads.get(tensor.name, memoryview(b"")))
        for tensor in model.graph.initializer
    ]
    graph = type(model.graph)()
    graph.CopyFrom(model.graph)
    del graph.initializer[:]
    rest = graph.SerializeToString()
    around = type(model)()
    around.CopyFrom(model)
    around.ClearField("graph")
    heads: list[bytes] = []
    size = len(rest)
    for light, payload in initializers:
        head = record_head(RAW_DATA, len(payload)) if payload else b""
        length = len(light) + len(head) + len(payload)
        heads.append(record_head(INITIALIZER, length) + light + head)
        size += len(heads[-1]) + len(payload)
    if size > _MAX_BYTES:
        name = os.fsdecode(path)
        raise ValueError(f"{name}: has {size} bytes; .onnx files without a second file hold 2 GiB")
    with open(path, "wb") as file:
        file.write(around.SerializeToString() + record_head(GRAPH, size) + rest)
        for head, (_, payload) in zip(heads, initializers, strict=True):
            file.write(head)
            _copy(payload, file)


def _copy(data: memoryview, file: BinaryIO) -> None:
    for start in range(0, len(data), _CHUNK):
        file.write(data[start : start + _CHUNK])

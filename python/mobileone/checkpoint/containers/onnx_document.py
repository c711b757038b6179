"""An ONNX file whose weights stay where they are until somebody reads them."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.onnx_wire import lighten
from mobileone.util.errors import CheckpointError, shown

__all__ = ["DTYPES", "EXTERNAL", "STANDARD", "Document", "require_onnx", "tensors_of"]

# Of TensorProto.data_type: what is read as numbers.
DTYPES: dict[int, npt.DTypeLike] = {
    1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 9: np.bool_,
    10: np.float16, 11: np.float64,
}  # fmt: skip
EXTERNAL = 1  # of TensorProto.data_location
STANDARD = ("", "ai.onnx")  # domain of ONNX's own operators


def require_onnx() -> Any:
    """The onnx package."""
    try:
        import onnx
    except ImportError as error:
        raise ImportError("ONNX files need onnx: pip install 'mobileone[onnx]'") from error
    return onnx


class Document:
    """A model file, parsed without its large weights, and where those are.

    Attributes:
        path: the file, as given.
        model: the onnx.ModelProto; initializers in `payloads` have no data in it.
        payloads: by the name of an initializer, its `raw_data` where that is not in `model`: a part
            of the file, or of an array that has been added.
        new: names of the initializers that have been added.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Open a file.

        Raises:
            OSError: it cannot be read.
            CheckpointError: it is no ONNX model.
        """
        self.path = os.fsdecode(path)
        onnx = require_onnx()
        self._maps: dict[str, memoryview] = {}
        data = self._map(self.path)
        light = lighten(data, self.path)
        try:
            self.model = onnx.ModelProto.FromString(light.proto)
        except Exception as error:  # protobuf's own class of errors has moved between versions
            raise CheckpointError(f"{self.path}: no ONNX model: {shown(str(error))}") from error
        self.payloads: dict[str, memoryview] = {}
        self.new: set[str] = set()
        names: set[str] = set()
        for index, tensor in enumerate(self.model.graph.initializer):
            if not isinstance(tensor.name, str):
                raise CheckpointError(f"{self.path}: an initializer's name is not UTF-8")
            if tensor.name in names:
                raise CheckpointError(f"{self.path}: two initializers are called {name(tensor)}")
            names.add(tensor.name)
            if index in light.payloads:
                offset, length = light.payloads[index]
                self.payloads[tensor.name] = data[offset : offset + length]
        if not self.model.graph.node:
            raise CheckpointError(f"{self.path}: found no node in it; expected an ONNX model")

    def _map(self, path: str) -> memoryview:
        if path not in self._maps:
            with open(path, "rb") as file:
                size = os.fstat(file.fileno()).st_size
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size else b""
            self._maps[path] = memoryview(mapped)
        return self._maps[path]

    def overridden(self) -> set[str]:
        """ONNX's own operators that functions of the file stand for."""
        return {f.name for f in self.model.functions if f.domain in STANDARD}

    def size(self) -> tuple[int, int]:
        """Elements of all initializers, and their bytes where these are known."""
        tensors = self.model.graph.initializer
        counts = [math.prod(tensor.dims) for tensor in tensors]
        widths = [np.dtype(DTYPES.get(tensor.data_type, np.void)).itemsize for tensor in tensors]
        return sum(counts), sum(c * w for c, w in zip(counts, widths, strict=True))

    def add(self, key: str, values: npt.NDArray[Any]) -> None:
        """Append an initializer."""
        tensor = self.model.graph.initializer.add()
        tensor.name, tensor.dims[:] = key, values.shape
        tensor.data_type = next(code for code, dtype in DTYPES.items() if dtype == values.dtype)
        self.new.add(key)
        data: Any = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        self.payloads[key] = memoryview(data)

    def remove(self, keys: set[str]) -> None:
        """Delete initializers."""
        initializers = self.model.graph.initializer
        for index in reversed(range(len(initializers))):
            if initializers[index].name in keys:
                self.payloads.pop(initializers[index].name, None)
                del initializers[index]

    def raw(self, tensor: Any) -> memoryview | None:
        """The bytes of a tensor that has none in `model`.

        Raises:
            CheckpointError: external data outside of the model's folder, or of its file.
        """
        if tensor.data_location == EXTERNAL:
            return self._external(tensor)
        return self.payloads.get(tensor.name)

    def _external(self, tensor: Any) -> memoryview:
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        folder = os.path.realpath(os.path.dirname(self.path) or ".")
        bad = not location or os.path.isabs(location) or "\0" in location
        target = folder if bad else os.path.realpath(os.path.join(folder, location))
        if bad or os.path.commonpath([folder, target]) != folder:
            problem = "is not below the model's own folder"
            raise CheckpointError(f"{self.path}: {name(tensor)}: {shown(location)!r} {problem}")
        if not os.path.isfile(target):
            problem = f"its weights' file {shown(location)!r} is missing"
            raise CheckpointError(f"{self.path}: {name(tensor)}: {problem}")
        data = self._map(target)
        try:
            offset = int(entries.get("offset", "0"))
            length = int(entries.get("length", "-1"))
        except ValueError as error:
            raise CheckpointError(f"{self.path}: {name(tensor)}: {error}") from error
        if "length" not in entries:
            length = math.prod(tensor.dims) * np.dtype(DTYPES.get(tensor.data_type, "V")).itemsize
        if offset < 0 or length < 0 or offset + length > len(data):
            place = f"bytes {offset} to {offset + length} of {len(data)}"
            raise CheckpointError(f"{self.path}: {name(tensor)}: {place} of {shown(location)!r}")
        return data[offset : offset + length]

    def array(self, tensor: Any) -> npt.NDArray[Any] | None:
        """A tensor's values, read-only; None of a type that is not read here.

        Raises:
            CheckpointError: its bytes do not fit its shape.
        """
        dtype = DTYPES.get(tensor.data_type)
        shape = tuple(tensor.dims)
        if dtype is None or tensor.HasField("segment"):
            return None
        if any(extent < 0 for extent in shape):
            raise CheckpointError(f"{self.path}: {name(tensor)} has the shape {shape}")
        count = math.prod(shape)
        found = self.raw(tensor)
        if found is not None or tensor.HasField("raw_data"):
            raw: Any = tensor.raw_data if found is None else found
            expected = count * np.dtype(dtype).itemsize
            if len(raw) != expected:
                sizes = f"has {len(raw)} bytes; expected {expected} of a shape {shape}"
                raise CheckpointError(f"{self.path}: {name(tensor)} {sizes}")
            return np.frombuffer(raw, dtype).reshape(shape)
        return self._typed(tensor, np.dtype(dtype), shape, count)

    def _typed(
        self, tensor: Any, dtype: np.dtype[Any], shape: tuple[int, ...], count: int
    ) -> npt.NDArray[Any]:
        """Of a tensor that lists its values."""
        field = {1: "float_data", 7: "int64_data", 11: "double_data"}
        values = getattr(tensor, field.get(tensor.data_type, "int32_data"))
        if len(values) != count:
            sizes = f"lists {len(values)} values; expected {count} of a shape {shape}"
            raise CheckpointError(f"{self.path}: {name(tensor)} {sizes}")
        if dtype == np.float16:  # as the bits that they are
            return np.array(values, np.uint16).view(np.float16).reshape(shape)
        return np.array(values).astype(dtype).reshape(shape)


def name(tensor: Any) -> str:
    """A tensor's name for a message."""
    return f"tensor {shown(tensor.name)!r}"


def tensors_of(graph: Any) -> Iterator[Any]:
    """Every onnx.TensorProto in a graph: initializers, attributes of nodes, graphs inside."""
    yield from graph.initializer
    for node in graph.node:
        yield from attribute_tensors(node)


def attribute_tensors(node: Any) -> Iterator[Any]:
    """Every onnx.TensorProto in a node's attributes and the graphs that they hold."""
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
            yield from tensors_of(graph)

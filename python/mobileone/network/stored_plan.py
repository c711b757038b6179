"""Stored plans: a compiled network as a file that is mapped and run in place.

A file is a fixed start (magic, format, checksum and length of the header), a JSON header, and from
the next page on the packed weights, each at a multiple of 64 bytes with a checksum of its own; what
is between is zero. The header holds the graph as JSON, the input shape, dtype, threads, what the
steps decided (records), and what the weights were packed for: package version, instruction set,
block and panel sizes, and of a quantized network the instruction set of its integers. Loading reads
every byte once, so that any damage is an error, and makes the plan again from the graph: every size
and offset is checked against what the plan needs.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from mobileone._core import (
    Graph,
    MappedWeights,
    Plan,
    __version__,
    checksum,
    kernel_parameters,
    parse_json,
    quantized_isa,
    restore_plan,
)
from mobileone.data.arrays import Float32, check_shape
from mobileone.network.compiled import CompiledModel
from mobileone.network.integers import integer_types
from mobileone.network.plan_fields import EXPECTED, FIELDS

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from mobileone.data.config import DataConfig
    from mobileone.network.bundle import Bundle

__all__ = ["FORMAT", "StoredPlan", "load_plan", "save_plan"]

FORMAT = 5
_MAGIC = b"\x93M1PLAN\n"
# Magic, format, checksum of the header, bytes of the header.
_START = struct.Struct("<8sIIQ")
_MAX_HEADER = 1 << 20
_PAGE, _ALIGNMENT = 4096, 64


class StoredPlan(CompiledModel):
    """A compiled network from a file; see `load_plan`. Pickles hold the file's absolute path.

    Calls raise ValueError once the file has been written to: replace it whole instead.

    Attributes:
        name, arch: as of the model that was stored.
        class_names: names of the classes, or None.
    """

    def __init__(
        self,
        plan: Plan,
        graph: Graph,
        header: Mapping[str, Any],
        weights: MappedWeights,
        path: str,
    ) -> None:
        self._weights = weights
        self._path = path
        # Not a method of self: the plan would be part of a cycle, and outlive its last user.
        self._load_data_config = partial(_data_config, header["data_config"])
        told = {field: header[field] for field in ("config", "graph", "input_shape")}
        self._load_config = partial(_config, told, path)
        self._adopt(plan, self._load_data_config, list(graph.outputs))
        self.name: str = header["name"]
        self.arch: str = header["arch"]
        names = header["class_names"]
        self.class_names: tuple[str, ...] | None = None if names is None else tuple(names)

    @property
    def data_config(self) -> DataConfig:
        """What the network expects of its input."""
        return self._load_data_config()

    @cached_property
    def config(self) -> dict[str, Any]:
        """As of the model that was stored. ValueError if it makes another network than the file's,
        which no file of `save_plan` does.
        """
        return self._load_config()

    def verify(self) -> None:
        """Read all weights again, as loading did.

        Raises:
            ValueError: the file was written to since; results before may be wrong.
        """
        self._weights.verify()

    def _images(self, x: Any) -> Float32:
        self._weights.check_unwritten()
        return super()._images(x)

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return load_plan, (self._path,)

    def __repr__(self) -> str:
        return f"<mobileone.StoredPlan {self.name}: input {self.input_shape}>"


def save_plan(path: str | os.PathLike[str], bundle: Bundle, compiled: CompiledModel) -> None:
    """Write a compiled network.

    Args:
        path: what is there is replaced, whole.
        bundle: what was compiled, in inference form.
        compiled: for one input shape and number of threads.

    Raises:
        NotImplementedError: a step runs on another backend, whose weights cannot be stored.
    """
    import json

    from mobileone.util.files import whole_file

    plan = compiled.plan
    if plan.not_storable:
        raise NotImplementedError(
            f"{bundle.name}: {plan.not_storable} runs on no fused kernel; only plans whose steps "
            "are all fused kernels can be stored (mobileone.reparameterize makes such a form)"
        )
    weights = plan.packed_weights
    places, size = _places(weights)
    header = {
        "mobileone": __version__,
        "kernels": _kernels(integers=bool(integer_types(bundle.graph))),
        "name": bundle.name,
        "arch": bundle.arch,
        "config": bundle.config,
        "graph": bundle.graph.to_json(),
        "class_names": bundle.class_names,
        "data_config": bundle.data_config.to_json(),
        "input_shape": plan.input_shape,
        "dtype": "bfloat16" if plan.bfloat16_nodes else "float32",
        "threads": plan.threads,
        "records": plan.records,
        "weights": places,
        "weights_bytes": size,
    }
    text = json.dumps(header).encode()
    read, where = parse_json(text), os.fsdecode(path)
    _check(read, where)
    _config(read, where)
    with whole_file(path) as file:
        file.write(_START.pack(_MAGIC, FORMAT, checksum(text), len(text)))
        file.write(text)
        start = _weights_start(len(text))
        for key, (offset, *_) in places.items():
            file.seek(start + offset)
            file.write(weights[key].data)
        file.truncate(start + size)


def load_plan(path: str | os.PathLike[str]) -> StoredPlan:
    """A plan that `Model.save_plan` wrote: maps the file and packs nothing.

    The weights are checked against their checksums (25 µs per MB) and used in place: while the plan
    is in use the file may be replaced or deleted (as `save_plan` does), but not be written to or
    truncated: calls raise ValueError once it was (a look at the file's times; what is written
    during a call is not seen).

    Raises:
        ValueError: no plan, truncated, damaged, of another version, or for another CPU.
        OSError: there is no such file.
    """
    where = os.fsdecode(path)
    header, start, size = _read(where)
    _check_origin(header, where)
    _check(header, where)
    if size != start + header["weights_bytes"]:
        raise ValueError(
            f"{where}: has {size} bytes; expected {start + header['weights_bytes']}, the header "
            "and its weights"
        )
    weights = MappedWeights(
        where, {key: (start + at, n, crc) for key, (at, n, crc) in header["weights"].items()}
    )
    try:
        graph = Graph.from_json(header["graph"])
        plan = restore_plan(
            graph,
            weights,
            header["input_shape"],
            header["threads"],
            header["records"],
            header["dtype"],
        )
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"{where}: its header describes no plan: {error}") from error
    return StoredPlan(plan, graph, header, weights, os.path.abspath(where))


def _config(header: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The configuration, which must make the header's graph, of images that it takes."""
    from mobileone.families import HEADS, NAMES, family_of
    from mobileone.families.imported import FAMILY, config_of

    config: dict[str, Any] = header["config"]
    try:
        family = family_of(config)
        if family.name not in (*NAMES, *HEADS, FAMILY.name) or not family.is_config(config):
            raise ValueError("expected a configuration of create_model")
        check_shape(tuple(header["input_shape"]), config["in_channels"], family.min_size)
        if family.graph(config) != Graph.from_json(header["graph"]):
            raise ValueError("it makes another graph")
        if family is FAMILY:
            shown = config_of(family.graph(config), tuple(header["input_shape"]))
            for field in ("form", "num_classes", "features"):
                if config[field] != shown[field]:
                    raise ValueError(
                        f"{field} is {config[field]!r}; its graph has {shown[field]!r}"
                    )
    except (ValueError, TypeError) as error:
        raise ValueError(f"{where}: config is {str(config)[:80]}: {error}") from error
    return config


def _data_config(text: str) -> DataConfig:
    from mobileone.data.config import DataConfig

    return DataConfig.from_json(text)


def _places(
    weights: Mapping[str, npt.NDArray[np.float32]],
) -> tuple[dict[str, tuple[int, int, int]], int]:
    """(offset from the first weight, bytes, checksum) of each, and the bytes of all."""
    places, end = {}, 0
    for key, array in weights.items():
        places[key] = (end, array.nbytes, checksum(array))
        end += -(-array.nbytes // _ALIGNMENT) * _ALIGNMENT
    return places, end


def _weights_start(header_bytes: int) -> int:
    return -(-(_START.size + header_bytes) // _PAGE) * _PAGE


def _read(where: str) -> tuple[dict[str, Any], int, int]:
    """The header as it is, where the weights start, and the size of the file."""
    with open(where, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        first = file.read(_START.size)
        if len(first) < _START.size or first[: len(_MAGIC)] != _MAGIC:
            raise ValueError(f"{where}: starts with {first[:8]!r}; expected {_MAGIC!r}, a plan")
        _, version, expected, length = _START.unpack(first)
        if version != FORMAT:
            raise ValueError(
                f"{where}: is a plan of format {version}; expected {FORMAT}: "
                "make it again with save_plan"
            )
        if length > min(_MAX_HEADER, size):
            raise ValueError(f"{where}: declares a header of {length} bytes, and has {size} in all")
        text = file.read(length)
        padding = file.read(_weights_start(length) - _START.size - length)
    found = checksum(text)
    if len(text) != length or found != expected:
        raise ValueError(f"{where}: its header has checksum {found:08x}; expected {expected:08x}")
    if any(padding):
        raise ValueError(f"{where}: is damaged: what follows its header is not zero")
    try:
        header = parse_json(text)
    except ValueError as error:
        raise ValueError(f"{where}: its header is not JSON: {error}") from error
    if type(header) is not dict:
        raise ValueError(f"{where}: its header is a {type(header).__name__}; expected an object")
    return header, _weights_start(length), size


def _kernels(integers: bool) -> dict[str, Any]:
    """What packed weights depend on, here."""
    return kernel_parameters() | ({"integers": quantized_isa()} if integers else {})


def _check_origin(header: Mapping[str, Any], where: str) -> None:
    """ValueError unless the weights were packed as this package does on this CPU."""
    made_for = header.get("kernels")
    kernels = _kernels(integers=isinstance(made_for, dict) and "integers" in made_for)
    for field, here in (("mobileone", __version__), ("kernels", kernels)):
        if header.get(field) != here:
            raise ValueError(
                f"{where}: was made for {field} {header.get(field)!r}; here it is {here!r}. "
                "Make it again with save_plan"
            )


def _check(header: Mapping[str, Any], where: str) -> None:
    """ValueError naming the first field that no plan can have."""
    for field, (kind, valid) in FIELDS.items():
        value = header.get(field)
        if not isinstance(value, kind) or not valid(value):
            found = repr(value)
            raise ValueError(f"{where}: {field} is {found[:80]}; expected {EXPECTED[field]}")
    try:
        check_shape(tuple(header["input_shape"]), header["config"].get("in_channels"))
    except ValueError as error:
        raise ValueError(f"{where}: input_shape: {error}") from error
    names = header["class_names"]
    if names is not None and len(names) != header["config"].get("num_classes"):
        raise ValueError(f"{where}: has {len(names)} class_names for another number of classes")

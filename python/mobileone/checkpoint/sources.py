"""What a checkpoint may come from: a file, a mapping of arrays, or a torch module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.containers.file import RawCheckpoint, read_file
from mobileone.checkpoint.containers.tensors import RawTensor, dtype_name
from mobileone.data.arrays import unmasked
from mobileone.families import all_families
from mobileone.families.family import PAIR, Field
from mobileone.util.errors import CheckpointError, Shape, shown

if TYPE_CHECKING:
    import numpy.typing as npt


def read_source(source: object) -> RawCheckpoint:
    """The tree of a path, a mapping, or anything with torch.nn.Module's methods.

    Raises:
        TypeError: none of these.
        CheckpointError: see `read_file`.
        NotImplementedError: a module whose blocks have different numbers of heads or patch sizes.
    """
    if isinstance(source, (str, os.PathLike)):
        return read_file(source)
    if isinstance(source, Mapping):
        where = f"the given {type(source).__name__}"
        return RawCheckpoint(_initialized(source, where), where, "mapping", 0, {})
    if is_module(source):
        return _read_module(source)
    raise TypeError(
        f"cannot load from a {type(source).__name__}; expected a path, a mapping of arrays by "
        "name, or a torch.nn.Module"
    )


def _read_module(module: Any) -> RawCheckpoint:
    from mobileone.checkpoint.modules.parts import parts_of

    where = f"the given {type(module).__name__}"
    fields = [field for family in all_families() for field in family.fields if field.attributes]
    told: dict[str, set[Any]] = {field.name: set() for field in fields}
    wanted = {name for field in fields for names in field.attributes for name in names}
    classes: dict[type, bool] = {}
    parts = parts_of(module) if hasattr(module, "_modules") else module.modules()
    for child in parts:
        kind = type(child)
        if kind not in classes:
            classes[kind] = any(hasattr(kind, name) for name in wanted)
        if not classes[kind] and wanted.isdisjoint(vars(child)):
            continue
        for field in fields:
            told[field.name].update(_attributes(child, field))
    for name, values in told.items():
        if len(values) > 1:
            raise NotImplementedError(
                f"{where}: {name} are {sorted(values)}; expected the same everywhere"
            )
    single = {name: values.pop() for name, values in told.items() if values}
    state = _initialized(module.state_dict(), where)
    return RawCheckpoint(state, where, "module", 0, {}, told=single, module=module)


def _initialized(state: Mapping[Any, Any], where: str) -> Mapping[Any, Any]:
    """It; CheckpointError for a lazy layer's parameter, which has no shape to ask for."""
    for key, value in state.items():
        if type(value).__name__ in ("UninitializedParameter", "UninitializedBuffer"):
            raise CheckpointError(
                f"{where}: {shown(str(key))} is not initialized; expected a module that ran once"
            )
    return state


def _attributes(module: Any, field: Field) -> set[Any]:
    """What a module says of a field: integers, or where that is a pair, tuples of two."""
    found: set[Any] = set()
    for names in field.attributes:
        values = tuple(getattr(module, name, None) for name in names)
        value = values[0] if len(names) == 1 else values
        pair = isinstance(value, tuple) and len(value) == 2 and all(type(v) is int for v in value)
        if type(value) is int and field.kind is PAIR:
            found.add((value, value))
        elif type(value) is int or pair:
            found.add(value)
    return found


def is_module(value: object) -> bool:
    """Whether it has torch.nn.Module's methods."""
    return hasattr(value, "state_dict") and hasattr(value, "named_modules")


def is_tensor(value: object) -> bool:
    """Whether it is a tensor of any of the sources."""
    if isinstance(value, RawTensor):
        return True
    return hasattr(value, "shape") and not is_module(value)


def kind_of(value: object) -> str:
    """What a value is, in words: its type, or the global that a file names in its place."""
    if type(value).__name__ == "Placeholder":  # imported with the reader of pickles only
        return str(getattr(value, "name", "")) or "placeholder"
    return type(value).__name__


def shape_of(leaf: Any) -> Shape:
    """The shape of a tensor of any of the sources."""
    return tuple(int(n) for n in leaf.shape)


def leaf_array(where: str, leaf: Any) -> tuple[str, npt.NDArray[np.generic]]:
    """dtype name and elements of a tensor of any of the sources, shared where possible.

    bfloat16 comes as uint16 bit patterns under the name "bfloat16", or widened as "float32".

    Raises:
        CheckpointError: not dense numbers.
    """
    if isinstance(leaf, RawTensor):
        return leaf.dtype, leaf.array(where)
    if hasattr(leaf, "detach"):
        return _from_torch(where, leaf)
    from mobileone.checkpoint.containers.pickle_numpy import NumpyArray

    if isinstance(leaf, NumpyArray) and leaf.tensor is not None:
        return leaf.tensor.dtype, leaf.tensor.array(where)
    try:
        array = np.asarray(unmasked(leaf))
    except (TypeError, ValueError) as error:
        raise CheckpointError(f"{where}: not an array: {shown(str(error))}") from error
    name = dtype_name(array.dtype)
    # ml_dtypes registers bfloat16 with NumPy.
    return name, array.view(np.uint16) if name == "bfloat16" else array


def _from_torch(where: str, tensor: Any) -> tuple[str, npt.NDArray[np.generic]]:
    with suppress(TypeError, RuntimeError):  # most tensors are NumPy arrays as they are
        array: npt.NDArray[np.generic] = tensor.detach().numpy()
        return dtype_name(array.dtype), array
    try:
        tensor = tensor.detach().cpu().resolve_conj().resolve_neg()
        if str(tensor.dtype) == "torch.bfloat16":
            tensor = tensor.float()
        array = tensor.numpy()
    except (TypeError, RuntimeError) as error:
        kind = f"{tensor.dtype}, {tensor.layout}, on {tensor.device}"
        raise CheckpointError(
            f"{where}: {kind}; expected a dense tensor ({shown(str(error))})"
        ) from error
    return dtype_name(array.dtype), array

"""From the tensors of a source to float32 weights under canonical names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.containers.tensors import CopyBudget, to_count, to_float32
from mobileone.checkpoint.copies import Copies
from mobileone.checkpoint.sources import leaf_array
from mobileone.families.configuration import initial_weights
from mobileone.util.errors import CheckpointError, Shape, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.checkpoint.containers.file import RawCheckpoint
    from mobileone.checkpoint.identify import Identity

__all__ = ["Array", "convert", "converted", "copy_budget"]

# Half precision doubles on conversion, and compressed archives may hold 4 times their size.
_COPY_LIMIT = 8
_COUNT, _VARIANCES = ".num_batches_tracked", ".running_var"

Array = np.ndarray[Any, np.dtype[np.float32]] | np.ndarray[Any, np.dtype[np.int64]]


def convert(
    raw: RawCheckpoint,
    tensors: Mapping[str, Any],
    identity: Identity,
    config: Mapping[str, Any],
    expected: Mapping[str, Shape],
    missing: Sequence[str],
    copies: Copies | None = None,
    copied: bool = False,
) -> tuple[dict[str, Array], dict[str, int], tuple[str, ...]]:
    """The weights of a network, as the engine takes them.

    Args:
        raw: the container.
        tensors: of the source, by its own names.
        identity: which of them are the network's.
        config: of the network.
        expected: canonical name -> shape, in the graph's order.
        missing: those of a classifier that the source has not, which starts anew.
        copies: those of a module, which are made already.
        copied: whether float32 tensors of other sources are copied, too; else they are shared.

    Returns:
        The weights in that order; the number of tensors by the dtype they had; the counts of
        batches that were missing.

    Raises:
        CheckpointError: a tensor that is no finite weight, or more copying than the file's size
            warrants.
    """
    budget = copy_budget(raw)
    state: dict[str, Array] = {}
    anew = initial_weights(config, missing) if missing else {}
    dtypes: Counter[str] = Counter()
    filled = []
    keys, layout = identity.keys, identity.layout
    slices = {name: layout.slices(name) if layout.has_slices else [name] for name in expected}
    if copies is None and copied:
        parts = (part for name in expected if not name.endswith(_COUNT) for part in slices[name])
        weights = {keys[part]: tensors[keys[part]] for part in parts if part in keys}
        copies = Copies(weights, budget, meanwhile=False)
    for name in expected:
        if name in anew:
            state[name] = anew[name]
            continue
        if not all(part in keys for part in slices[name]):
            state[name] = np.zeros((), np.int64)  # a count of batches, which may be missing
            filled.append(name)
            continue
        arrays: list[Array] = []
        for key in map(keys.__getitem__, slices[name]):
            copy = None if copies is None else copies.get(key)
            if copy is not None:
                dtypes["float32"] += 1
                if name.endswith(_VARIANCES):
                    _check_variances(_where(raw, key), copy)
                arrays.append(copy)
                continue
            where = _where(raw, key)
            dtype, array = leaf_array(where, tensors[key])
            dtypes[dtype] += 1
            arrays.append(converted(name, where, dtype, array, budget))
        state[name] = arrays[0] if len(arrays) == 1 else _joined(arrays, budget)
    return state, dict(dtypes), tuple(filled)


def copy_budget(raw: RawCheckpoint) -> CopyBudget | None:
    """What may be copied of a container; None of arrays that are in memory already."""
    return CopyBudget(raw.source, _COPY_LIMIT * raw.nbytes, raw.release) if raw.nbytes else None


def _joined(slices: list[Array], budget: CopyBudget | None) -> Array:
    """A tensor that the layout stores in slices along its first axis."""
    if budget is not None:
        budget.charge(sum(part.nbytes for part in slices))
    return np.concatenate(slices, dtype=np.float32)


def converted(
    name: str, where: str, dtype: str, array: np.ndarray[Any, Any], budget: CopyBudget | None
) -> Array:
    """The elements of a tensor as the engine takes them."""
    if name.endswith(_COUNT):
        return to_count(where, dtype, array)
    weight = to_float32(where, dtype, array, budget)
    if name.endswith(_VARIANCES):
        _check_variances(where, weight)
    return weight


def _where(raw: RawCheckpoint, key: str) -> str:
    return f"{raw.source}: {shown(key)}"


def _check_variances(where: str, weight: npt.NDArray[np.float32]) -> None:
    """CheckpointError for a negative one."""
    if weight.min() < 0:
        raise CheckpointError(
            f"{where}: {weight.min()} at channel {int(weight.argmin())}; "
            "expected variances, which are not negative"
        )

"""From the tensors of a source to float32 weights under canonical names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.containers.tensors import CopyBudget, to_count, to_float32
from mobileone.checkpoint.sources import leaf_array
from mobileone.families.configuration import initial_weights
from mobileone.util.errors import CheckpointError, Shape, shown

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.checkpoint.containers.file import RawCheckpoint
    from mobileone.checkpoint.copies import Copies
    from mobileone.checkpoint.identify import Identity

__all__ = ["Array", "convert", "converted", "copy_budget"]

# Half precision doubles on conversion, and compressed archives may hold 4 times their size.
_COPY_LIMIT = 8

Array = np.ndarray[Any, np.dtype[np.float32]] | np.ndarray[Any, np.dtype[np.int64]]


def convert(
    raw: RawCheckpoint,
    tensors: Mapping[str, Any],
    identity: Identity,
    config: Mapping[str, Any],
    expected: Mapping[str, Shape],
    missing: Sequence[str],
    copies: Copies | None = None,
) -> tuple[dict[str, Array], dict[str, int], tuple[str, ...]]:
    """The weights of a network, as the engine takes them.

    Args:
        raw: the container.
        tensors: of the source, by its own names.
        identity: which of them are the network's.
        config: of the network.
        expected: canonical name -> shape, in the graph's order.
        missing: those of a classifier that the source has not, which starts anew.
        copies: of its tensors, as far as they are made already.

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
    for name in expected:
        if name in anew:
            state[name] = anew[name]
            continue
        slices = identity.layout.slices(name) if identity.layout.has_slices else [name]
        if not all(part in identity.keys for part in slices):
            state[name] = np.zeros((), np.int64)  # a count of batches, which may be missing
            filled.append(name)
            continue
        parts: list[Array] = []
        for key in (identity.keys[part] for part in slices):
            where = f"{raw.source}: {shown(key)}"
            copy = None if copies is None else copies.get(key)
            if copy is not None:
                dtypes["float32"] += 1
                parts.append(_checked(name, where, copy))
                continue
            dtype, array = leaf_array(where, tensors[key])
            dtypes[dtype] += 1
            parts.append(converted(name, where, dtype, array, budget))
        state[name] = parts[0] if len(parts) == 1 else _joined(parts, budget)
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
    if name.endswith(".num_batches_tracked"):
        return to_count(where, dtype, array)
    return _checked(name, where, to_float32(where, dtype, array, budget))


def _checked(name: str, where: str, weight: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """A weight as it is; CheckpointError for a negative variance."""
    if name.endswith(".running_var") and weight.min() < 0:
        raise CheckpointError(
            f"{where}: {weight.min()} at channel {int(weight.argmin())}; "
            "expected variances, which are not negative"
        )
    return weight

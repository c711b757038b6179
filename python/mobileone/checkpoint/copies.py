"""Copies of a source's tensors, checked as they are made: a module's while it is run, since that
takes one processor most of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import finite_copies
from mobileone.checkpoint.containers.tensors import RELEASE_STEP
from mobileone.checkpoint.sources import leaf_array
from mobileone.util.errors import CheckpointError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.checkpoint.containers.tensors import CopyBudget

    _Made = list[npt.NDArray[np.float32] | None]

__all__ = ["Copies"]

# Bytes that are copied between two charges.
_GROUP = RELEASE_STEP // 2


class Copies:
    """Copies of tensors, in one pass that also finds whether they are finite.

    Args:
        tensors: key -> tensor of any of the sources. Those that are float32 in C order are copied;
            they must stay as they are until `get` is called.
        budget: charged with the copies, so that what has been copied of a file is given back.
        meanwhile: whether a thread begins at once; else they are made when first asked for.
    """

    def __init__(
        self, tensors: Mapping[str, Any], budget: CopyBudget | None = None, *, meanwhile: bool
    ) -> None:
        self._arrays = {}
        for key, tensor in tensors.items():
            array = _as_it_is(key, tensor)
            if array is not None:
                self._arrays[key] = array
        self._make: Callable[[], _Made] = partial(_copied, [*self._arrays.values()], budget)
        if meanwhile:
            from mobileone.util.later import Later

            self._make = Later(self._make).result

    @cached_property
    def _made(self) -> dict[str, npt.NDArray[np.float32] | None]:
        return dict(zip(self._arrays, self._make(), strict=True))

    def get(self, key: str) -> npt.NDArray[np.float32] | None:
        """The copy of a tensor; None if it has none, or has a NaN or an infinity."""
        return self._made.get(key)


def _copied(arrays: list[npt.NDArray[np.float32]], budget: CopyBudget | None) -> _Made:
    if budget is None:
        return finite_copies(arrays)
    copies: _Made = []
    while len(copies) < len(arrays):
        group, nbytes = [], 0
        for array in arrays[len(copies) :]:
            group.append(array)
            nbytes += array.nbytes
            if nbytes >= _GROUP:
                break
        copies += finite_copies(group)
        budget.charge(nbytes)
    return copies


def _as_it_is(key: str, tensor: Any) -> npt.NDArray[np.float32] | None:
    """The elements where they are float32 already, shared; None where something is to be done or
    said first.
    """
    with suppress(TypeError, RuntimeError, CheckpointError):
        is_torch = hasattr(tensor, "detach")
        array: Any = tensor.detach().numpy() if is_torch else leaf_array(key, tensor)[1]
        flags = array.flags
        if array.dtype == np.float32 and flags.c_contiguous and flags.aligned and array.size:
            found: npt.NDArray[np.float32] = array
            return found
    return None

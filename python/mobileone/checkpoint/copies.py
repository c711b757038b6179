"""Copies of a module's tensors, made while it runs: that takes one processor most of the time."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import finite_copies
from mobileone.util.later import Later

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Copies"]


class Copies:
    """Copies of tensors, which a thread begins to make.

    Args:
        tensors: key -> tensor of PyTorch. Those that NumPy takes as float32 in C order are copied;
            they must stay as they are until `get` is called.
    """

    def __init__(self, tensors: Mapping[str, Any]) -> None:
        self._arrays = {}
        for key, tensor in tensors.items():
            with suppress(TypeError, RuntimeError):
                array = tensor.detach().numpy()
                if array.dtype == np.float32 and array.flags.c_contiguous and array.size:
                    self._arrays[key] = array
        self._later = Later(partial(finite_copies, [*self._arrays.values()]))

    @cached_property
    def _made(self) -> dict[str, npt.NDArray[np.float32] | None]:
        return dict(zip(self._arrays, self._later.result(), strict=True))

    def get(self, key: str) -> npt.NDArray[np.float32] | None:
        """The copy of a tensor; None if it has none, or has a NaN or an infinity."""
        return self._made.get(key)

"""The order of a network's input channels, RGB or BGR, in the weights of its stem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.families import find_family

if TYPE_CHECKING:
    import numpy.typing as npt


def with_input_reversed(
    state: Mapping[str, npt.NDArray[Any]], architecture: str
) -> dict[str, npt.NDArray[Any]]:
    """The weights of the same network for images whose channels come in the opposite order.

    Doing it twice gives the same bits back.

    Args:
        state: canonical name -> array.
        architecture: the name of the network's family.
    """
    changed = {name: state[name] for name in find_family(architecture).stem if name in state}
    reversed_ = {name: np.ascontiguousarray(array[:, ::-1]) for name, array in changed.items()}
    return {**state, **reversed_}

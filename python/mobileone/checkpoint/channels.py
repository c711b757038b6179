"""The order of a network's input channels, RGB or BGR, in the weights of its stem."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# Canonical names of the convolutions that see the image, in either form.
_STEMS = {
    "mobileone": (
        "stage0.rbr_conv.0.conv.weight",
        "stage0.rbr_scale.conv.weight",
        "stage0.reparam_conv.weight",
    ),
    "mobilevit": ("conv_1.block.conv.weight",),
}


def with_input_reversed(
    state: Mapping[str, npt.NDArray[Any]], architecture: str
) -> dict[str, npt.NDArray[Any]]:
    """The weights of the same network for images whose channels come in the opposite order.

    Doing it twice gives the same bits back.

    Args:
        state: canonical name -> array.
        architecture: "mobileone" or "mobilevit".
    """
    changed = {name: state[name] for name in _STEMS[architecture] if name in state}
    reversed_ = {name: np.ascontiguousarray(array[:, ::-1]) for name, array in changed.items()}
    return {**state, **reversed_}

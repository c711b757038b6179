"""A model's weights for other programs: as arrays by name, and as files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint import (
    LAYOUTS,
    Layout,
    find_layout,
    from_canonical,
    save_safetensors,
    with_input_reversed,
)
from mobileone.data.config import CHANNEL_ORDERS
from mobileone.families.graph import architecture_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.model import Model

__all__ = ["save", "state_dict"]


def state_dict(
    model: Model, layout: str | None = None, channel_order: str | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The weights under a public layout's names, as read-only arrays.

    Args:
        model: in either form.
        layout: see docs/checkpoints.md; None for the names of the network's authors, which are
            those of its graph ("apple" for MobileOne, "cvnets" for MobileViT).
        channel_order: "RGB" or "BGR", what the network is to be fed: where `data_config` has the
            other one, the input channels of the stem are reversed. None changes nothing.

    Raises:
        ValueError: an unknown layout or channel order, or other than three channels to order.
        CheckpointError: a network for which the layout has no names.
    """
    weights = model.network.weights()
    if channel_order is not None and _is_other_order(model, channel_order):
        weights = with_input_reversed(weights, architecture_of(model.config))
    named = from_canonical(_layout(model, layout), weights)
    for array in named.values():
        array.flags.writeable = False
    return named


def save(
    model: Model,
    path: str | os.PathLike[str],
    layout: str | None = None,
    channel_order: str | None = None,
) -> None:
    """Write a .safetensors file with `Model.metadata` in its header; `load` reads it back.

    A file in a layout of MobileViT is for the programs of that layout, so that it has the channel
    order that they feed: RGB for timm, BGR for the others. Where the model has the other one, the
    stem's input channels are reversed in the file, its metadata say so, and `load` undoes it.

    Args:
        model: in either form.
        path: an existing file is replaced.
        layout: as for `state_dict`; without one the weights are as they are.
        channel_order: "RGB" or "BGR", for programs that feed something else than their layout's.

    Raises:
        ValueError, CheckpointError: as `state_dict`.
    """
    if channel_order is None and layout is not None and _channels(model) == 3:
        channel_order = _layout(model, layout).channel_order or None
    metadata = model.metadata()
    if channel_order is not None and _is_other_order(model, channel_order):
        metadata["channel_order"] = channel_order
    save_safetensors(path, state_dict(model, layout, channel_order), metadata)


def _layout(model: Model, name: str | None) -> Layout:
    architecture = architecture_of(model.config)
    if name is None:  # the first of an architecture is the canonical one
        return next(layout for layout in LAYOUTS if layout.architecture == architecture)
    return find_layout(name, architecture)


def _channels(model: Model) -> int:
    return int(model.config["in_channels"])


def _is_other_order(model: Model, channel_order: str) -> bool:
    """Whether the model has the other order than this one."""
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f"channel_order is {channel_order!r}; expected one of {CHANNEL_ORDERS}")
    if _channels(model) != 3:
        raise ValueError(
            f"channel_order is {channel_order!r}; expected None for {_channels(model)} channels"
        )
    return channel_order != model.data_config.channel_order

"""A model's weights for other programs: as arrays by name, and as files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint.channels import with_input_reversed
from mobileone.checkpoint.containers.safetensors_writer import save_safetensors
from mobileone.data.config import CHANNEL_ORDERS
from mobileone.families.layouts import find_layout
from mobileone.families.naming.renaming import from_canonical
from mobileone.network.integers import as_stored

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.network.bundle import Bundle

__all__ = ["kind_of_file", "save", "state_dict"]

_KINDS = {
    "": "safetensors",
    ".safetensors": "safetensors",
    ".npz": "npz",
    ".pth": "torch",
    ".pt": "torch",
    ".bin": "torch",
    ".ckpt": "torch",
}


def state_dict(
    bundle: Bundle, layout: str | None = None, channel_order: str | None = None
) -> dict[str, npt.NDArray[Any]]:
    """The weights under a public layout's names, as read-only arrays.

    Args:
        bundle: in either form.
        layout: see docs/checkpoints.md; None for the names of the network's authors, which are
            those of its graph ("apple" for MobileOne, "cvnets" for MobileViT).
        channel_order: "RGB" or "BGR", what the network is to be fed: where `data_config` has the
            other one, the input channels of the stem are reversed. None changes nothing.

    Raises:
        ValueError: an unknown layout or channel order, or other than three channels to order.
        CheckpointError: a network for which the layout has no names.
    """
    weights = as_stored(bundle.network)
    if channel_order is not None and _is_other_order(bundle, channel_order):
        weights = with_input_reversed(weights, bundle.family.name)
    if layout is not None:
        weights = from_canonical(find_layout(layout, bundle.family.name), weights)
    for array in weights.values():
        array.flags.writeable = False
    return weights


def save(
    bundle: Bundle,
    path: str | os.PathLike[str],
    layout: str | None = None,
    channel_order: str | None = None,
) -> None:
    """Write a file of weights with `Model.metadata` in it; `load` reads both back bit by bit.

    What is written is what the name ends with: .safetensors, or without a suffix; .npz; .pth, .pt,
    .bin, .ckpt or .pth.tar: an archive that `torch.load(path, weights_only=True)` reads.

    A file in a layout whose programs feed images in one order (MobileViT's: RGB for timm, BGR for
    the others) has that channel order. Where the model has the other one, the
    stem's input channels are reversed in the file, its metadata say so, and `load` undoes it.

    Args:
        bundle: in either form.
        path: an existing file is replaced.
        layout: as for `state_dict`; without one the weights are as they are.
        channel_order: "RGB" or "BGR", for programs that feed something else than their layout's.

    Raises:
        ValueError: a name that ends otherwise; and as `state_dict`.
        CheckpointError: as `state_dict`.
    """
    kind = kind_of_file(path)
    if channel_order is None and layout is not None and bundle.in_channels == 3:
        channel_order = find_layout(layout, bundle.family.name).channel_order or None
    metadata = bundle.metadata()
    if channel_order is not None and _is_other_order(bundle, channel_order):
        metadata["channel_order"] = channel_order
    weights = state_dict(bundle, layout, channel_order)
    if kind == "safetensors":
        save_safetensors(path, weights, metadata)
        return
    from mobileone.checkpoint.containers.archive_writer import save_npz, save_torch

    (save_npz if kind == "npz" else save_torch)(path, weights, metadata)


def kind_of_file(path: str | os.PathLike[str]) -> str:
    """What `save` writes under this name: "safetensors", "npz" or "torch".

    Raises:
        ValueError: a suffix that says something else.
    """
    name = os.path.basename(os.fsdecode(path))
    suffix = os.path.splitext(name)[1].lower()
    if suffix == ".tar" and os.path.splitext(name[: -len(suffix)])[1].lower() in (".pth", ".pt"):
        return "torch"
    if suffix not in _KINDS:
        known = ", ".join(filter(None, _KINDS))
        raise ValueError(
            f"{os.fsdecode(path)}: weights are not saved as {suffix}; expected {known}, or "
            "export_onnx for .onnx"
        )
    return _KINDS[suffix]


def _is_other_order(bundle: Bundle, channel_order: str) -> bool:
    """Whether the model has the other order than this one."""
    if channel_order not in CHANNEL_ORDERS:
        raise ValueError(f"channel_order is {channel_order!r}; expected one of {CHANNEL_ORDERS}")
    if bundle.in_channels != 3:
        raise ValueError(
            f"channel_order is {channel_order!r}; expected None for {bundle.in_channels} channels"
        )
    return channel_order != bundle.data_config.channel_order

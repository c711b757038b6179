"""Networks of a head on a backbone, whose weights may come from a classifier's checkpoint."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobileone._core import Network
from mobileone.checkpoint.open import bundle_of, open_bundle
from mobileone.families.heads.head import PREFIX
from mobileone.network.create import create_head_bundle

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = ["create_on_backbone"]


def create_on_backbone(
    task: str,
    head: str,
    backbone: str,
    seed: int | None,
    config: dict[str, Any],
    backbone_weights: Any = None,
) -> Bundle:
    """The network that `mobileone.create_segmenter` or `create_detector` describes.

    Raises:
        ValueError: an unknown name or field, a value that makes no network, or weights of another
            backbone.
    """
    made = create_head_bundle(task, head, backbone, seed, config)
    if backbone_weights is None:
        return made
    given = getattr(backbone_weights, "bundle", None)
    source = open_bundle(backbone_weights, strict=False) if given is None else bundle_of(given)
    trained = {PREFIX + name: array for name, array in source.network.weights().items()}
    weights = made.network.weights()
    for name, array in weights.items():
        if not name.startswith(PREFIX):
            continue
        found = trained.get(name)
        if found is None or found.shape != array.shape:
            has = "none" if found is None else f"one of shape {found.shape}"
            raise ValueError(
                f"backbone_weights: {source.name} has {has} for {name[len(PREFIX) :]} of "
                f"{backbone} in {made.form} form, expected shape {array.shape}"
            )
        weights[name] = found
    # What the backbone was trained on; sizes are the head's.
    seen = ("mean", "std", "value_range", "channel_order")
    kept = {name: getattr(source.data_config, name) for name in seen}
    data_config = replace(made.data_config, **kept)
    return replace(made, network=Network(made.graph, weights), data_config=data_config)

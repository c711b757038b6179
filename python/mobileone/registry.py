"""The published variants by name, and networks with seeded random weights."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from mobileone import _core
from mobileone._graph import FIELDS, INFERENCE, TRAIN_TIME, graph_of
from mobileone.model import Model


def list_models(filter: str = "*") -> list[str]:
    """Names that `create_model` takes, in the order of the paper; `filter` is a shell pattern."""
    return [name for name in _core.mobileone_variants() if fnmatchcase(name, filter)]


def create_model(
    name: str, *, num_classes: int = 1000, seed: int | None = None, **config: Any
) -> Model:
    """A train-time network with random weights.

    Args:
        name: a published variant (`list_models`), whose configuration the rest changes, or
            "custom", for which `widths` and `depths` are needed.
        num_classes: number of logits.
        seed: of the weights; None means 0. The same on every machine.
        config: any of `stem_width`, `widths` (channels per stage), `depths` (depthwise-pointwise
            pairs per stage), `num_conv_branches` (k, the paper's Table 2), `in_channels`,
            `se_depths` (SE in the last n pairs of each stage) or `se_widths` (block -> squeezed
            width), and `form` ("train-time" or "inference").

    Raises:
        ValueError: an unknown name or field, or a value that makes no network.
    """
    full = _full_config(name, {"num_classes": num_classes, **config})
    network = _core.initialize(graph_of(full), 0 if seed is None else seed)
    arch = name if not set(config) - {"in_channels", "form"} else "custom"
    return Model(network, full, arch=arch, name=name)


def _full_config(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    variants = _core.mobileone_variants()
    if name != "custom" and name not in variants:
        known = ", ".join(variants)
        raise ValueError(f"name is {name!r}; expected one of {known}, or 'custom'")
    for key in changes:
        if key not in (*FIELDS, "se_depths", "form"):
            raise ValueError(f"create_model has no field {key!r}; expected one of {FIELDS}")
    config: dict[str, Any] = {"num_conv_branches": 1, "se_widths": {}, "in_channels": 3}
    config |= variants.get(name, {}) | {"form": TRAIN_TIME} | changes
    if config["form"] not in (TRAIN_TIME, INFERENCE):
        raise ValueError(f"form is {config['form']!r}; expected {TRAIN_TIME!r} or {INFERENCE!r}")
    for key in ("widths", "depths"):
        if not config.get(key):
            raise ValueError(f"create_model('custom') needs {key}, a list with one entry per stage")
    config.setdefault("stem_width", min(64, config["widths"][0]))
    se_depths = config.pop("se_depths", None)
    if se_depths is not None:
        config["se_widths"] = _core.squeeze_excitation_widths(
            config["stem_width"], config["widths"], config["depths"], se_depths
        )
    return config

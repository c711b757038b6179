"""The published variants by name, and networks with seeded random weights."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

from mobileone._core import (
    initialize,
    mobileone_variants,
    mobilevit_variants,
    squeeze_excitation_widths,
)
from mobileone.families.graph import FIELDS, INFERENCE, MOBILEONE, MOBILEVIT, TRAIN_TIME, graph_of
from mobileone.model import Model

# What a network that is no published variant is called, by architecture.
CUSTOM = {MOBILEONE: "custom", MOBILEVIT: "mobilevit_custom"}

# Fields that a published variant has in any number or value.
_FREE = {"in_channels", "form", "architecture", "dropout", "ffn_dropout", "classifier_dropout"}

_PER_LAYER = ("widths", "depths", "transformer_widths", "ffn_widths", "transformer_depths")


def list_models(filter: str = "*") -> list[str]:
    """Names that `create_model` takes, in the order of the papers; `filter` is a shell pattern."""
    return [name for name in _variants() if fnmatchcase(name, filter)]


def create_model(
    name: str, *, num_classes: int = 1000, seed: int | None = None, **config: Any
) -> Model:
    """A train-time network with random weights.

    Args:
        name: a published variant (`list_models`), whose configuration the rest changes, or
            "custom" (a MobileOne, for which `widths` and `depths` are needed), or
            "mobilevit_custom" (a MobileViT, starting from mobilevit_s).
        num_classes: number of logits.
        seed: of the weights; None means 0. The same on every machine.
        config: `in_channels`, `form` ("train-time" or "inference"), `stem_width`, `widths`
            (channels per stage), `depths` (blocks per stage: MobileOne's depthwise-pointwise
            pairs, MobileViT's MobileNetV2 blocks).
            Of MobileOne: `num_conv_branches` (k, the paper's Table 2), `se_depths` (SE in the
            last n pairs of each stage) or `se_widths` (block -> squeezed width).
            Of MobileViT, lists per stage: `transformer_widths` (d; 0 for no MobileViT block),
            `ffn_widths`, `transformer_depths` (L); and `expansion`, `head_width`, `heads`,
            `patch` (height, width), `dropout`, `ffn_dropout`, `classifier_dropout`.

    Raises:
        ValueError: an unknown name or field, or a value that makes no network.
    """
    architecture = _architecture(name, config)
    full = _full_config(name, architecture, {"num_classes": num_classes, **config})
    network = initialize(graph_of(full), 0 if seed is None else seed)
    arch = name if not set(config) - _FREE else CUSTOM[architecture]
    return Model(network, full, arch=arch, name=name)


def _variants() -> dict[str, tuple[str, dict[str, Any]]]:
    """Name -> (architecture, fields of its graph) of every published variant."""
    found = {name: (MOBILEONE, fields) for name, fields in mobileone_variants().items()}
    return found | {n: (MOBILEVIT, fields) for n, fields in mobilevit_variants().items()}


def _architecture(name: str, changes: dict[str, Any]) -> str:
    variants = _variants()
    customs = {custom: architecture for architecture, custom in CUSTOM.items()}
    if name not in variants and name not in customs:
        known = ", ".join(variants)
        raise ValueError(
            f"name is {name!r}; expected one of {known}, or 'custom' or 'mobilevit_custom'"
        )
    found = customs[name] if name in customs else variants[name][0]
    if changes.get("architecture", found) != found:
        raise ValueError(f"architecture is {changes['architecture']!r}; {name} is a {found}")
    return found


def _full_config(name: str, architecture: str, changes: dict[str, Any]) -> dict[str, Any]:
    extra = ("se_depths",) if architecture == MOBILEONE else ("architecture",)
    fields = FIELDS[architecture]
    for key in changes:
        if key not in (*fields, *extra, "form"):
            raise ValueError(f"create_model has no field {key!r} for {name}; expected {fields}")
    complete = _full_mobilevit if architecture == MOBILEVIT else _full_mobileone
    config = complete(name, {"form": TRAIN_TIME, "in_channels": 3} | changes)
    if config["form"] not in (TRAIN_TIME, INFERENCE):
        raise ValueError(f"form is {config['form']!r}; expected {TRAIN_TIME!r} or {INFERENCE!r}")
    return config


def _full_mobileone(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"num_conv_branches": 1, "se_widths": {}}
    config |= mobileone_variants().get(name, {}) | changes
    for key in ("widths", "depths"):
        if not config.get(key):
            raise ValueError(f"create_model('custom') needs {key}, a list with one entry per stage")
    config.setdefault("stem_width", min(64, config["widths"][0]))
    se_depths = config.pop("se_depths", None)
    if se_depths is not None:
        config["se_widths"] = squeeze_excitation_widths(
            config["stem_width"], config["widths"], config["depths"], se_depths
        )
    return config


def _full_mobilevit(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    config: dict[str, Any] = {"architecture": MOBILEVIT}
    config |= dict.fromkeys(("dropout", "ffn_dropout", "classifier_dropout"), 0.0)
    variants = mobilevit_variants()
    config |= variants.get(name, variants["mobilevit_s"]) | changes
    for key in (*_PER_LAYER, "patch"):
        if not isinstance(config[key], list | tuple):
            raise ValueError(f"{key} is {config[key]!r}; expected a list")
        config[key] = list(config[key])  # as it comes back from a file
    if len(config["patch"]) != 2:
        raise ValueError(f"patch is {config['patch']}; expected (height, width)")
    return config

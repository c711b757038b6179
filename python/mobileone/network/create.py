"""The published variants by name, and networks with seeded random weights."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from mobileone._core import initialize, settle
from mobileone.families import all_families, all_heads
from mobileone.families.family import INFERENCE, TRAIN_TIME
from mobileone.families.variants import CUSTOM, family_of_variant, variant_of
from mobileone.network.bundle import Bundle
from mobileone.util.checks import plain, seed_of
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone.families.family import Family

__all__ = ["create_bundle", "create_head_bundle", "list_models"]


def list_models(filter: str = "*") -> list[str]:
    """Names that `create_model` takes, in the order of the papers; `filter` is a shell pattern."""
    names = [name for family in all_families() for name in family.variants()]
    return [name for name in names if fnmatchcase(name, filter)]


def create_bundle(name: str, num_classes: int, seed: int | None, config: dict[str, Any]) -> Bundle:
    """A train-time network with random weights; see `mobileone.create_model`."""
    num_classes, config = plain(num_classes), plain(config)
    family = _family(name, config)
    full = _full_config(name, family, {"num_classes": num_classes, **config})
    network = initialize(family.graph(full), 0 if seed is None else seed_of(seed))
    network = settle(network, threads=1)  # under 0.1 s; more would mostly start threads
    # Fields that a published variant has in any value.
    free = {"form", "architecture", "output_stride"}
    free |= {field.name for field in (*family.fields, *family.settings) if field.free}
    arch = name if not set(config) - free else family.custom
    return Bundle.of(network, full, arch=arch, name=name)


def create_head_bundle(
    task: str, head: str, backbone: str, seed: int | None, config: dict[str, Any]
) -> Bundle:
    """A train-time network of a head on a backbone, with random weights.

    Args:
        task: of the head.
        head: its name.
        backbone: what `create_model` calls it.
        seed: of the weights; None means 0.
        config: fields of the head's configuration, and of the backbone's.

    Raises:
        ValueError: an unknown name or field, or a value that makes no network.
    """
    config = plain(config)
    heads = {known.name: known for known in all_heads() if known.task == task}
    if head not in heads:
        raise ValueError(f"head is {head!r}; expected one of {', '.join(heads)}")
    family, inner = heads[head], _family(backbone, {})
    own = (*family.fields, *family.settings, *inner.fields, *inner.settings)
    allowed = {field.name for field in own} - {"backbone"} | {*inner.options, "form"}
    for key in config:
        if key not in allowed:
            raise ValueError(f"{head} on {backbone} has no field {key!r}; expected {allowed}")
    full = family.complete(backbone, {"form": TRAIN_TIME, **config})
    network = initialize(family.graph(full), 0 if seed is None else seed_of(seed))
    network = settle(network, threads=thread_count().count)
    found = variant_of(full)
    arch = f"{head}_{inner.custom}" if found == CUSTOM else found
    return Bundle.of(network, full, arch=arch)


def _family(name: str, changes: dict[str, Any]) -> Family:
    customs = {family.custom: family for family in all_families() if family.custom}
    found = customs.get(str(name)) or family_of_variant(name)
    if found is None:
        known, custom = ", ".join(list_models()), " or ".join(map(repr, customs))
        raise ValueError(f"name is {name!r}; expected one of {known}, or {custom}")
    if changes.get("architecture", found.name) != found.name:
        raise ValueError(f"architecture is {changes['architecture']!r}; {name} is a {found.name}")
    return found


def _full_config(name: str, family: Family, changes: dict[str, Any]) -> dict[str, Any]:
    fields = tuple(field.name for field in (*family.fields, *family.settings))
    for key in changes:
        if key not in (*fields, *family.options, "form"):
            raise ValueError(f"create_model has no field {key!r} for {name}; expected {fields}")
    config = family.complete(name, {"form": TRAIN_TIME, "in_channels": 3} | changes)
    if config["form"] not in (TRAIN_TIME, INFERENCE):
        raise ValueError(f"form is {config['form']!r}; expected {TRAIN_TIME!r} or {INFERENCE!r}")
    return config

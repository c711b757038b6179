"""Which network a set of tensors is, from names and shapes; and whether it is all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from mobileone.families import NAMES, all_families, family_of, find_family
from mobileone.families.configuration import recover_config
from mobileone.families.layouts import LAYOUTS, foreign_network, recognise
from mobileone.families.naming.renaming import Recognition, sliced_shapes
from mobileone.families.naming.table import Layout
from mobileone.families.variants import describe, variant_of
from mobileone.util.errors import (
    CheckpointError,
    Mismatch,
    Shape,
    listed,
    mismatch_error,
    shown,
    shown_value,
    unrecognised_error,
)


class Identity(NamedTuple):
    """What a state dict is.

    Attributes:
        source: its name, for messages.
        layout: the dialect of its keys.
        keys: canonical name, or that of a slice (`Layout.slices`) -> its own key.
        shapes: canonical name, or that of a slice -> shape.
        unknown: keys that the layout does not have -> shape.
        config: see `recover_config`; where metadata tell what shapes do not, from there.
        problem: why these tensors are no one network, e.g. half fused; "" where they may be.
    """

    source: str
    layout: Layout
    keys: dict[str, str]
    shapes: dict[str, Shape]
    unknown: dict[str, Shape]
    config: dict[str, Any]
    problem: str

    def check(self, expected: Mapping[str, Shape], strict: bool) -> None:
        """Raises CheckpointError unless the tensors are the expected ones.

        `num_batches_tracked` may be missing: files of old versions lack it, and nothing computes
        with it. Without ``strict``, extra tensors and a missing classifier are accepted too.
        """
        expected = sliced_shapes(self.layout, expected)
        mismatches = []
        for name, shape in expected.items():
            found = self.shapes.get(name)
            optional = name.endswith(".num_batches_tracked") or (
                not strict and self.is_classifier(name)
            )
            if found != shape and not (found is None and optional):
                key = self.keys.get(name) or self.layout.own(name) or name
                mismatches.append(Mismatch(key, found, shape))
        if strict or self.problem:
            extra = {self.keys[n]: s for n, s in self.shapes.items() if n not in expected}
            mismatches += [Mismatch(k, s, None) for k, s in (extra | self.unknown).items()]
        if mismatches or self.problem:
            nearest = describe(self.layout.name, self.config)
            raise mismatch_error(self.source, nearest, mismatches, self.problem)

    def is_classifier(self, name: str) -> bool:
        """Whether a canonical name is the last layer's, which fine-tuning replaces."""
        return name.startswith(find_family(self.layout.architecture).classifier)

    def without_other_classifier(self, num_classes: int) -> Identity:
        """The network less its classifier where that has another number of classes."""
        own = {name: shape for name, shape in self.shapes.items() if self.is_classifier(name)}
        if any(len(shape) == 2 and shape[0] == num_classes for shape in own.values()):
            return self
        return self._replace(shapes={n: s for n, s in self.shapes.items() if n not in own})


def identify(shapes: Mapping[str, Shape], source: str, metadata: Mapping[str, str]) -> Identity:
    """What the tensors with these names and shapes are.

    Args:
        shapes: name, in any layout -> shape.
        source: for messages.
        metadata: of the file, if it is one of ours.

    Raises:
        CheckpointError: no known layout, a look-alike of one, or no network to speak of.
    """
    recognition = _recognise(shapes, source)
    layout = recognition.layout
    assert layout is not None  # _recognise raised otherwise
    keys: dict[str, str] = {}
    for key, name in recognition.names.items():
        if name in keys:
            raise CheckpointError(f"{source}: {shown(keys[name])} and {shown(key)} are one tensor")
        keys[name] = key
    canonical = {name: shapes[key] for name, key in keys.items()}
    family = find_family(layout.architecture)
    config = recover_config(family, canonical, source)
    if metadata.get("format") == "mobileone" and "config" in metadata:
        config = _with_metadata(config, metadata["config"], source)
    unknown = {key: shapes[key] for key in recognition.unknown}
    problem = _mixed_layouts(recognition) or family.half_fused(canonical)
    return Identity(source, layout, keys, canonical, unknown, config, problem)


def _recognise(shapes: Mapping[str, Shape], source: str) -> Recognition:
    found = recognise(list(shapes))
    foreign = foreign_network(found.unknown)
    if foreign:
        raise unrecognised_error(source, found.unknown, f"this is {foreign}")
    if found.layout is None:
        names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        titles = " or ".join(family.title for family in all_families() if family.layouts())
        raise unrecognised_error(source, shapes, f"no {titles} in any known layout ({names})")
    if len(found.unknown) > len(found.names):
        title = find_family(found.layout.architecture).title
        nearest = f"the {found.layout.name} layout explains {len(found.names)} of {len(shapes)}"
        raise unrecognised_error(source, found.unknown, f"no {title}: {nearest} keys")
    return found


def _mixed_layouts(found: Recognition) -> str:
    if not found.also or found.layout is None:
        return ""
    others = ", ".join(sorted(set(found.also.values())))
    return (
        f"it mixes layouts ({len(found.names)} keys of {found.layout.name}, "
        f"{len(found.also)} of {others})"
    )


def _with_metadata(config: dict[str, Any], text: str, source: str) -> dict[str, Any]:
    """The configuration completed by what was stored with it; contradictions are errors."""
    try:
        stored = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{source}: damaged config in its metadata") from error
    if type(stored) is not dict:
        raise CheckpointError(f"{source}: the config in its metadata is not an object")
    family = family_of(config)
    said = stored.get("architecture", NAMES[0])
    if said != family.name:
        raise CheckpointError(
            f"{source}: its metadata contradicts its tensors: architecture {shown_value(said)}, "
            f"found {family.name}"
        )
    untold = family.unseen(config["form"])
    told = [key for key in config if key != "arch" and key not in untold]
    differ = [key for key in told if stored.get(key, config[key]) != config[key]]
    if differ:
        found = listed(f"{k} {shown_value(stored[k])}, found {config[k]}" for k in differ)
        raise CheckpointError(f"{source}: its metadata contradicts its tensors: {found}")
    completed = {key: stored[key] for key in untold if key in stored}
    for key, value in completed.items():
        kind = untold[key].kind
        if not kind.allows(value):
            raise CheckpointError(
                f"{source}: {key} {shown_value(value)} in its metadata; expected {kind.expected}"
            )
    config = family.short(config | completed)
    return config | {"arch": variant_of(config)}

"""Which network a set of tensors is, from names and shapes; and whether it is all of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .errors import (
    CheckpointError,
    Mismatch,
    Shape,
    listed,
    mismatch_error,
    shown,
    shown_value,
    unrecognised_error,
)
from .layouts import LAYOUTS, Layout, Recognition, foreign_network, recognise
from .recover import describe, half_fused, recover_config
from .variants import variant_of

# How the configuration of each architecture is read off its canonical shapes.
_RECOVER: dict[str, Callable[[Mapping[str, Shape], str], dict[str, Any]]] = {
    "mobileone": recover_config
}


class Identity(NamedTuple):
    """What a state dict is.

    Attributes:
        source: its name, for messages.
        layout: the dialect of its keys.
        keys: canonical name -> its own key.
        shapes: canonical name -> shape.
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
        mismatches = []
        for name, shape in expected.items():
            found = self.shapes.get(name)
            optional = name.endswith(".num_batches_tracked") or (not strict and is_classifier(name))
            if found != shape and not (found is None and optional):
                key = self.keys.get(name) or self.layout.own(name) or name
                mismatches.append(Mismatch(key, found, shape))
        if strict or self.problem:
            extra = {self.keys[n]: s for n, s in self.shapes.items() if n not in expected}
            mismatches += [Mismatch(k, s, None) for k, s in (extra | self.unknown).items()]
        if mismatches or self.problem:
            nearest = describe(self.layout.name, self.config)
            raise mismatch_error(self.source, nearest, mismatches, self.problem)


def is_classifier(name: str) -> bool:
    """Whether a canonical name is the last layer's, which fine-tuning replaces."""
    return name.startswith("linear.")


def identify(shapes: Mapping[str, Shape], source: str, metadata: Mapping[str, str]) -> Identity:
    """What the tensors with these names and shapes are.

    Args:
        shapes: name, in any layout -> shape.
        source: for messages.
        metadata: of the file, if it is one of ours.

    Raises:
        CheckpointError: no known layout, a look-alike of MobileOne, or no network to speak of.
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
    config = _RECOVER[layout.architecture](canonical, source)
    if metadata.get("format") == "mobileone" and "config" in metadata:
        config = _with_metadata(config, metadata["config"], source)
    unknown = {key: shapes[key] for key in recognition.unknown}
    problem = _mixed_layouts(recognition) or half_fused(canonical)
    return Identity(source, layout, keys, canonical, unknown, config, problem)


def _recognise(shapes: Mapping[str, Shape], source: str) -> Recognition:
    found = recognise(list(shapes))
    foreign = foreign_network(found.unknown)
    if foreign:
        raise unrecognised_error(source, found.unknown, f"this is {foreign}")
    if found.layout is None:
        names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        raise unrecognised_error(source, shapes, f"no MobileOne in any known layout ({names})")
    if len(found.unknown) > len(found.names):
        nearest = f"the {found.layout.name} layout explains {len(found.names)} of {len(shapes)}"
        raise unrecognised_error(source, found.unknown, f"no MobileOne: {nearest} keys")
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
    untold = {"arch", "num_conv_branches"} if config["form"] == "inference" else {"arch"}
    differ = [k for k in config if k not in untold and stored.get(k, config[k]) != config[k]]
    if differ:
        said = listed(f"{k} {shown_value(stored[k])}, found {config[k]}" for k in differ)
        raise CheckpointError(f"{source}: its metadata contradicts its tensors: {said}")
    branches = stored.get("num_conv_branches", config["num_conv_branches"])
    if type(branches) is not int or branches < 1:
        said = shown_value(branches)
        raise CheckpointError(f"{source}: num_conv_branches {said} in its metadata")
    config = config | {"num_conv_branches": branches}
    return config | {"arch": variant_of(config)}

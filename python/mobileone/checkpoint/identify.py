"""Which network a set of tensors is, from names and shapes; and whether it is all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from mobileone.checkpoint.containers.file import own_metadata
from mobileone.checkpoint.heads import (
    Head,
    choose_head,
    find_heads,
    is_whole_head,
    several_heads,
)
from mobileone.checkpoint.parts import Part, find_part
from mobileone.checkpoint.wrappers import Weights
from mobileone.families import NAMES, all_families, family_of, find_family
from mobileone.families.configuration import recover_config
from mobileone.families.layouts import LAYOUTS, foreign_network
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

if TYPE_CHECKING:
    from mobileone.families.family import Family


class Identity(NamedTuple):
    """What a state dict is.

    Attributes:
        source: its name, for messages.
        layout: the dialect of its keys.
        part: where the network is among them.
        keys: canonical name, or that of a slice (`Layout.slices`) -> its own key.
        shapes: canonical name, or that of a slice -> shape.
        unknown: keys that the layout does not have -> shape.
        config: see `recover_config`; where metadata tell what shapes do not, from there.
        problem: why these tensors are no one network, e.g. half fused; "" where they may be.
        heads: every classifier that there is.
        head: the name of the one that is taken; "" for none.
    """

    source: str
    layout: Layout
    part: Part
    keys: dict[str, str]
    shapes: dict[str, Shape]
    unknown: dict[str, Shape]
    config: dict[str, Any]
    problem: str
    heads: tuple[Head, ...] = ()
    head: str = ""

    def check(self, expected: Mapping[str, Shape], strict: bool) -> None:
        """Raises CheckpointError unless the tensors are the expected ones.

        `num_batches_tracked` may be missing: files of old versions lack it, and nothing computes
        with it. Without ``strict``, extra tensors and a missing classifier are accepted too;
        heads that were not asked for always are.
        """
        expected = sliced_shapes(self.layout, expected)
        mismatches = []
        for name, shape in expected.items():
            found = self.shapes.get(name)
            optional = name.endswith(".num_batches_tracked") or (
                not strict and self.is_classifier(name)
            )
            if found != shape and not (found is None and optional):
                mismatches.append(Mismatch(self._key(name), found, shape))
        extra = {self.keys[n]: s for n, s in self.shapes.items() if n not in expected}
        if strict or self.problem:
            left = self._not_of_other_heads(extra | self.unknown)
            mismatches += [Mismatch(k, s, None) for k, s in left.items()]
        if mismatches or self.problem:
            nearest = describe(self.layout.name, self.config)
            if self.part.prefix:
                nearest += f" under {shown(self.part.prefix)!r}"
            error = mismatch_error(self.source, nearest, mismatches, self.problem)
            raise CheckpointError(f"{error}{self._advice(mismatches)}")

    def _key(self, name: str) -> str:
        """The key that a tensor has, or would have."""
        return self.keys.get(name) or self.part.prefix + (self.layout.own(name) or name)

    def _not_of_other_heads(self, extra: dict[str, Shape]) -> dict[str, Shape]:
        others = {head.name for head in self.heads} if self.head else set()
        dropped = tuple(self.part.prefix + start for start in self._family.dropped)
        return {
            k: s
            for k, s in extra.items()
            if k.rpartition(".")[0] not in others and not k.startswith(dropped)
        }

    @property
    def _family(self) -> Family:
        return find_family(self.layout.architecture)

    def _advice(self, mismatches: list[Mismatch]) -> str:
        """What would load it, where only parts are too much or a classifier is missing."""
        classifier = {self._key(n) for n in self.layout_classifier()}
        body = [m for m in mismatches if m.expected is not None and m.name not in classifier]
        if self.problem or body:
            return ""
        if not self.head and len(self.heads) > 1:
            return f". {several_heads(self.heads)}"
        if any(m.found is None and m.name in classifier for m in mismatches):
            return (
                ". Without a classifier: num_classes=0 gives pooled features, "
                "num_classes=N with strict=False a new one, to be trained"
            )
        if all(m.expected is None for m in mismatches):
            return ". strict=False loads the network without them"
        return ""

    def layout_classifier(self) -> list[str]:
        """Canonical names of the last layer."""
        classifier = self._family.classifier
        return [f"{classifier}weight", f"{classifier}bias"]

    def is_classifier(self, name: str) -> bool:
        """Whether a canonical name is the last layer's, which fine-tuning replaces."""
        return name.startswith(self._family.classifier)

    def with_head(self, asked: str | None, num_classes: int | None, strict: bool) -> Identity:
        """With the classifier that is asked for, or the only one there is; see `heads`.

        Raises:
            CheckpointError: none is called as asked.
        """
        family = self._family
        if family.task != "classification":
            if asked is None:
                return self._replace(head=family.classifier.rstrip("."))
            raise CheckpointError(f"{self.source}: head={asked!r}; a {family.title} has its own")
        features = family.num_features(self.config)
        names = self.layout_classifier()
        own = {self.keys[n]: self.shapes[n] for n in names if n in self.shapes}
        heads = find_heads(own | self.unknown, features)
        own_name = next(iter(own)).rpartition(".")[0] if own else None
        head = choose_head(heads, asked, own_name, num_classes, self.source)
        found = self._replace(heads=heads, head=head.name if head else "")
        if head is None or head.name == own_name:
            return found
        beside = {k: s for k, s in self.unknown.items() if k.rpartition(".")[0] != head.name}
        if asked is None and not strict and not is_whole_head(head, beside, features):
            return found._replace(head="")
        keys = {n: f"{head.name}.{n.rpartition('.')[2]}" for n in names}
        shapes = {n: self.unknown.get(key) or own[key] for n, key in keys.items()}
        return found._replace(
            keys={**self.keys, **keys},
            shapes={**self.shapes, **shapes},
            unknown=beside | {k: s for k, s in own.items() if k not in keys.values()},
            config=self.config | {"num_classes": head.classes},
        )

    def without_other_classifier(self, num_classes: int) -> Identity:
        """The network less its classifier where that has another number of classes."""
        own = {name: shape for name, shape in self.shapes.items() if self.is_classifier(name)}
        if self._family.task != "classification" and self.config["num_classes"] == num_classes:
            return self
        if any(len(shape) == 2 and shape[0] == num_classes for shape in own.values()):
            return self
        return self._replace(shapes={n: s for n, s in self.shapes.items() if n not in own}, head="")


def identify(
    shapes: Mapping[str, Shape],
    source: str,
    metadata: Mapping[str, str],
    *,
    weights: Weights = "auto",
    strict: bool = True,
    skipped: Mapping[str, str] | None = None,
    heads: bool = True,
) -> Identity:
    """What the tensors with these names and shapes are.

    Args:
        shapes: name, in any layout -> shape.
        source: for messages.
        metadata: of the file, if it is one of ours.
        weights: of several networks under several prefixes, which one; see `wrappers`.
        strict: whether they should be a network and little else.
        skipped: what is beside them and no tensor, by name.
        heads: False looks for a classifier or a backbone, whatever head is on it.

    Raises:
        CheckpointError: no known layout, a look-alike of one, or no network to speak of.
    """
    part = find_part(shapes, source, weights, heads)
    _check_known(part, shapes, source, strict, skipped or {})
    layout, prefix = part.found.layout, part.prefix
    assert layout is not None  # _check_known raised otherwise
    keys: dict[str, str] = {}
    for key, name in part.found.names.items():
        if name in keys:
            raise CheckpointError(
                f"{source}: {shown(keys[name])} and {shown(prefix + key)} are one tensor"
            )
        keys[name] = prefix + key
    canonical = {name: shapes[key] for name, key in keys.items()}
    _check_needed(layout, prefix, skipped or {}, source)
    family = find_family(layout.architecture)
    config = recover_config(family, canonical, source)
    own = own_metadata(metadata)
    if "config" in own:
        config = _with_metadata(config, own["config"], source)
    outside = (*(prefix + key for key in part.found.unknown), *part.outside)
    unknown = {key: shapes[key] for key in outside}
    problem = _mixed_layouts(part.found) or family.half_fused(canonical)
    return Identity(source, layout, part, keys, canonical, unknown, config, problem)


def _check_known(
    part: Part,
    shapes: Mapping[str, Shape],
    source: str,
    strict: bool,
    skipped: Mapping[str, str],
) -> None:
    found = part.found
    unknown = [*found.unknown, *part.outside]
    if not unknown and not skipped and found.layout is not None:
        return
    from mobileone.checkpoint.altered import altered_weights, plain_name

    few = len(unknown) > len(found.names)
    foreign = foreign_network(found.unknown)
    if foreign is None and few and strict:
        foreign = foreign_network(end for key in unknown for end in _ends(key))
    if foreign:
        raise unrecognised_error(source, unknown, f"this is {foreign}")
    if not (strict or few) and found.layout is not None:  # other parts' weights do no harm
        unknown = [k for k in found.unknown if found.layout.canonical(plain_name(k)) is not None]
    altered = altered_weights(unknown, skipped if strict or few else {})
    if altered:
        raise CheckpointError(f"{source}: these are {altered}")
    if found.layout is None:
        names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        titles = " or ".join(family.title for family in all_families() if family.layouts())
        raise unrecognised_error(source, shapes, f"no {titles} in any known layout ({names})")
    if few and strict:
        title = find_family(found.layout.architecture).title
        where = f" under {shown(part.prefix)!r}" if part.prefix else ""
        raise unrecognised_error(
            source,
            unknown,
            f"no {title}: nearest the {found.layout.name} layout explains {len(found.names)} of "
            f"{len(shapes)} keys{where}. strict=False loads a network beside others",
        )


def _ends(key: str) -> list[str]:
    """A key less none, one, two, ... of its first parts."""
    parts = key.split(".", 8) if len(key) < 200 else []
    return [".".join(parts[n:]) for n in range(len(parts))]


def _check_needed(layout: Layout, prefix: str, skipped: Mapping[str, str], source: str) -> None:
    """CheckpointError where something stands in the place of a tensor that cannot be one."""
    for key, kind in skipped.items():
        if key.startswith(prefix) and layout.canonical(key[len(prefix) :]) is not None:
            raise CheckpointError(f"{source}: {shown(key)} is {shown(kind)}; expected a tensor")


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
    completed = _completed(config, stored, source)
    if "backbone" in config:
        shared = {key: config[key] for key in ("form", "in_channels")} | {"num_classes": 0}
        held = stored.get("backbone")
        if type(held) is not dict:
            raise CheckpointError(f"{source}: the backbone in its metadata is not an object")
        backbone = _completed(shared | config["backbone"], shared | held, source)
        completed["backbone"] = {k: v for k, v in backbone.items() if k not in shared}
    return completed | {"arch": variant_of(completed)}


def _completed(config: dict[str, Any], stored: dict[str, Any], source: str) -> dict[str, Any]:
    """A configuration with what another one says that weights do not show."""
    family = family_of(config)
    said = stored.get("architecture", NAMES[0])
    if said != family.name:
        raise CheckpointError(
            f"{source}: its metadata contradicts its tensors: architecture {shown_value(said)}, "
            f"found {family.name}"
        )
    untold = family.unseen(config["form"])
    told = [key for key in config if key not in ("arch", "backbone") and key not in untold]
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
    # Settings that the other one leaves out are as published.
    settings = {setting.name for setting in family.settings}
    return family.short({k: v for k, v in config.items() if k not in settings} | completed)

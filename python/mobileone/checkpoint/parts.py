"""The network inside a larger state dict: under which prefix it is, and what is beside it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mobileone.checkpoint.wrappers import Weights, says_averaged
from mobileone.families.layouts import count_by_prefix, recognise
from mobileone.families.naming.renaming import Recognition
from mobileone.util.errors import CheckpointError, Shape


class Part(NamedTuple):
    """A network in a state dict.

    Attributes:
        prefix: what its keys begin with, e.g. "model.backbone."; "" for none.
        found: its keys without the prefix, recognised.
        outside: the other keys.
        others: prefixes of further networks, e.g. ("teacher.",).
        averaged: whether the prefix says that its weights are averaged; None where there is none.
    """

    prefix: str
    found: Recognition
    outside: tuple[str, ...]
    others: tuple[str, ...] = ()
    averaged: bool | None = None


def find_part(
    shapes: Mapping[str, Shape], source: str, weights: Weights, heads: bool = True
) -> Part:
    """The network that explains most of the keys; without ``heads`` a classifier or backbone.

    Raises:
        CheckpointError: averaged weights were asked for, and no prefix speaks of any.
    """
    whole = recognise(list(shapes), heads=heads)
    if not whole.unknown:  # most files; the rest costs milliseconds
        return Part("", whole, ())
    counts = count_by_prefix(shapes, heads=heads)
    most = max(counts.values(), default=0)
    prefixes = [prefix for prefix, count in counts.items() if 2 * count > most]
    prefix = _choose(prefixes, counts, weights, source)
    if not prefix:
        return Part("", whole, (), tuple(p for p in prefixes if p))
    inside = [key[len(prefix) :] for key in shapes if key.startswith(prefix)]
    outside = tuple(key for key in shapes if not key.startswith(prefix))
    others = tuple(p for p in prefixes if p and p != prefix)
    averaged = says_averaged(prefix) if len(prefixes) > 1 or says_averaged(prefix) else None
    return Part(prefix, recognise(inside, heads=heads), outside, others, averaged)


def _choose(prefixes: list[str], counts: Mapping[str, int], weights: Weights, source: str) -> str:
    """Averaged weights first, or those that were asked for; then the most keys; then the first."""
    if weights != "auto":
        asked = [p for p in prefixes if says_averaged(p) == (weights == "ema")]
        if not asked and len(prefixes) > 1:
            raise CheckpointError(
                f"{source}: weights={weights!r} asked for, but it holds {', '.join(prefixes)} only"
            )
        prefixes = asked or prefixes
    return max(
        prefixes,
        key=lambda p: (says_averaged(p), "teacher" not in p, counts[p]),
        default="",
    )

"""The engine behind layouts: key templates compiled into lookups in both directions.

A template is a dotted key with fields: `{n}` is a number, `{s-1}` the number s less one as this
layout counts it, `{bn}` and `{wb}` stand for each of a fixed set of names. A table maps canonical
templates to a layout's own:

    {"stage{s}.{j}.rbr_conv.{n}.conv.weight": "stages.{s-1}.{j}.conv_kxk.{n}.conv.weight"}
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeVar

from ..errors import CheckpointError, listed, shown

T = TypeVar("T")

# Fields that stand for names rather than numbers.
CHOICES = {
    "wb": ("weight", "bias"),
    "bn": ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
}
_NUMBER = re.compile(r"([0-9]+)")
_SLOT = re.compile(r"([0-9]+)|\{([a-z]+)([+-][0-9]+)?\}")
_MAX_DIGITS = 4

# A slot of a template: a literal number, or a field with the offset at which it is written.
_Slot = int | tuple[str, int]


def cross(blocks: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """Every part inside every block: the table of a network made of equal blocks."""
    return {
        f"{block}.{part}": f"{own_block}.{own_part}"
        for block, own_block in blocks.items()
        for part, own_part in parts.items()
    }


class _Template(NamedTuple):
    """A key with its numbers taken out: the texts around them, and what goes where."""

    texts: tuple[str, ...]
    slots: tuple[_Slot, ...]

    def fill(self, values: Mapping[str, int]) -> str:
        numbers = [s if isinstance(s, int) else values[s[0]] + s[1] for s in self.slots]
        rest = zip(numbers, self.texts[1:], strict=True)
        return self.texts[0] + "".join(f"{number}{text}" for number, text in rest)

    def match(self, numbers: Sequence[int], lowest: Mapping[str, int]) -> dict[str, int] | None:
        values: dict[str, int] = {}
        for slot, number in zip(self.slots, numbers, strict=True):
            if isinstance(slot, int):
                if slot != number:
                    return None
                continue
            name, offset = slot
            value = number - offset
            if value < lowest.get(name, 0) or values.setdefault(name, value) != value:
                return None
        return values


def _compile(template: str) -> _Template:
    # The pattern's three groups come between the texts: a literal number, or a field and offset.
    pieces = _SLOT.split(template)
    slots: list[_Slot] = [
        int(number) if number else (name, int(offset or 0))
        for number, name, offset in zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
    ]
    return _Template(tuple(pieces[0::4]), tuple(slots))


def _expand(canonical: str, own: str) -> Iterator[tuple[str, str]]:
    """One row per value of the choice fields."""
    for name, values in CHOICES.items():
        marker = f"{{{name}}}"
        if marker in canonical:
            for value in values:
                yield from _expand(canonical.replace(marker, value), own.replace(marker, value))
            return
    yield canonical, own


_Index = dict[tuple[str, ...], list[tuple[_Template, _Template]]]


@dataclass(frozen=True)
class Layout:
    """One dialect of an architecture's checkpoints.

    Attributes:
        architecture: "mobileone", "mobilevit", ...
        name: as users say it, e.g. "timm".
        templates: canonical template -> this layout's template.
        lowest: the lowest value of a number field where that is not 0.
        optional_prefix: what files of this layout may or may not put before their keys.
    """

    architecture: str
    name: str
    templates: Mapping[str, str]
    lowest: Mapping[str, int] = field(default_factory=dict)
    optional_prefix: str = ""

    @cached_property
    def _rows(self) -> list[tuple[_Template, _Template]]:
        """(canonical, own), compiled when first asked for: most files need one layout only."""
        rows = (row for pair in self.templates.items() for row in _expand(*pair))
        return [(_compile(canonical), _compile(own)) for canonical, own in rows]

    @cached_property
    def _to_canonical(self) -> _Index:
        index: _Index = {}
        for ours, theirs in self._rows:
            index.setdefault(theirs.texts, []).append((theirs, ours))
        return index

    @cached_property
    def _to_own(self) -> _Index:
        index: _Index = {}
        for ours, theirs in self._rows:
            index.setdefault(ours.texts, []).append((ours, theirs))
        return index

    def canonical(self, key: str) -> str | None:
        """The canonical name of a key of this layout; None for a key it does not have."""
        found = self._look_up(self._to_canonical, key)
        if found is None and self.optional_prefix:
            found = self._look_up(self._to_canonical, self.optional_prefix + key)
        return found

    def own(self, name: str) -> str | None:
        """This layout's key of a canonical name; None for a name it has no word for."""
        return self._look_up(self._to_own, name)

    def _look_up(self, index: _Index, key: str) -> str | None:
        pieces = _NUMBER.split(key)
        digits = pieces[1::2]
        # "01" and "1" would otherwise be the same tensor.
        if any(len(d) > _MAX_DIGITS or (d[0] == "0" and d != "0") for d in digits):
            return None
        numbers = [int(d) for d in digits]
        for source, target in index.get(tuple(pieces[0::2]), ()):
            values = source.match(numbers, self.lowest)
            if values is not None:
                return target.fill(values)
        return None


class Recognition(NamedTuple):
    """Which layout a set of keys is written in.

    Attributes:
        layout: the one that explains most keys; None when none explains any.
        names: key -> canonical name, for the keys it explains.
        unknown: the keys it does not explain.
        also: for each unknown key that another layout explains, the name of that layout.
    """

    layout: Layout | None
    names: dict[str, str]
    unknown: tuple[str, ...]
    also: dict[str, str]


def recognise_in(layouts: Iterable[Layout], keys: Iterable[str]) -> Recognition:
    """The layout among ``layouts`` that explains most of the keys; the first one of equals."""
    keys = list(keys)
    best: tuple[Layout | None, dict[str, str]] = (None, {})
    tried = []
    for layout in layouts:
        named = ((key, layout.canonical(key)) for key in keys)
        names = {key: name for key, name in named if name is not None}
        tried.append((layout, names))
        if len(names) > len(best[1]):
            best = (layout, names)
        if len(names) == len(keys):
            break
    unknown = tuple(key for key in keys if key not in best[1])
    also = {key: other.name for key in unknown for other, names in tried if key in names}
    return Recognition(best[0], best[1], unknown, also)


def to_canonical(layout: Layout, state: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under canonical names.

    Raises:
        CheckpointError: a key that the layout does not have, or two keys of the same name.
    """
    names = {key: layout.canonical(key) for key in state}
    unknown = [shown(key) for key, name in names.items() if name is None]
    if unknown:
        raise CheckpointError(f"not keys of the {layout.name} layout: {listed(unknown)}")
    return _renamed(state, {key: name for key, name in names.items() if name is not None})


def from_canonical(layout: Layout, state: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under this layout's keys, in the same order.

    Raises:
        CheckpointError: a name that the layout has no word for.
    """
    names = {name: layout.own(name) for name in state}
    unknown = [shown(name) for name, key in names.items() if key is None]
    if unknown:
        raise CheckpointError(f"the {layout.name} layout has no key for {listed(unknown)}")
    return _renamed(state, {name: key for name, key in names.items() if key is not None})


def _renamed(state: Mapping[str, T], names: Mapping[str, str]) -> dict[str, T]:
    result: dict[str, T] = {}
    for key, name in names.items():
        if name in result:
            raise CheckpointError(f"two tensors are both {shown(name)}; the second is {shown(key)}")
        result[name] = state[key]
    return result

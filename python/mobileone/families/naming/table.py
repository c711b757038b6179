"""The engine behind layouts: key templates compiled into lookups in both directions.

A template is a dotted key with fields: `{n}` is a number, `{s-1}` the number s less one as this
layout counts it, `{bn}` and `{wb}` stand for each of a fixed set of names. A table maps canonical
templates to a layout's own:

    {"stage{s}.{j}.rbr_conv.{n}.conv.weight": "stages.{s-1}.{j}.conv_kxk.{n}.conv.weight"}

Where a layout leaves out a number of the canonical name, it is one more than the largest that
other keys give for that place: the norm after transformers 0 to 3 is number 4, and elsewhere just
"norm".
A canonical template that ends in `[0]`, `[1]`, ... is that one of equal slices of the tensor along
its first axis, each of which the layout stores by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count, takewhile
from typing import NamedTuple

# Fields that stand for names rather than numbers.
CHOICES = {
    "wb": ("weight", "bias"),
    "bn": ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"),
}
_NUMBER = re.compile(r"([0-9]+)")
_SLOT = re.compile(r"([0-9]+)|\{([a-z]+)([+-][0-9]+)?\}")
_MAX_DIGITS = 4
# Names whose slices a layout remembers: those of a few networks.
_MOST_KNOWN = 4096

# A slot of a template: a literal number, or a field with the offset at which it is written.
_Slot = int | tuple[str, int]
# A key's texts and the numbers between them.
Parsed = tuple[tuple[str, ...], tuple[int, ...]]


def parsed(key: str) -> Parsed | None:
    """A key with its numbers taken out; None if one is written as no layout does."""
    pieces = _NUMBER.split(key)
    digits = pieces[1::2]
    for written in digits:
        # "01" and "1" would otherwise be the same tensor.
        if len(written) > _MAX_DIGITS or (written[0] == "0" and written != "0"):
            return None
    return tuple(pieces[0::2]), tuple(map(int, digits))


def cross(blocks: Mapping[str, str], parts: Mapping[str, str]) -> dict[str, str]:
    """Every part inside every block: the table of a network made of equal blocks."""
    return {
        f"{block}.{part}": f"{own_block}.{own_part}"
        for block, own_block in blocks.items()
        for part, own_part in parts.items()
    }


class _Template(NamedTuple):
    """A key with its numbers taken out: the texts around them, and what goes where; all as a
    pattern of `%`, too.
    """

    texts: tuple[str, ...]
    slots: tuple[_Slot, ...]
    pattern: str

    @classmethod
    def of(cls, texts: tuple[str, ...], slots: tuple[_Slot, ...]) -> _Template:
        """With the pattern of these."""
        return cls(texts, slots, "%d".join(text.replace("%", "%%") for text in texts))

    def fill(self, values: Mapping[str, int]) -> str:
        numbers = [s if isinstance(s, int) else values[s[0]] + s[1] for s in self.slots]
        return self.pattern % tuple(numbers)

    def before(self, field: str) -> _Template:
        """What comes before the field, which it has."""
        at = [isinstance(slot, tuple) and slot[0] == field for slot in self.slots].index(True)
        return _Template.of(self.texts[: at + 1], self.slots[:at])

    @property
    def fields(self) -> set[str]:
        """Names of its number fields."""
        return {slot[0] for slot in self.slots if isinstance(slot, tuple)}

    def match(self, numbers: Sequence[int], lowest: Mapping[str, int]) -> dict[str, int] | None:
        values: dict[str, int] = {}
        for slot, number in zip(self.slots, numbers, strict=True):
            if isinstance(slot, int):
                if slot != number:
                    return None
                continue
            name, offset = slot
            value = number - offset
            least = lowest.get(name, 0) if lowest else 0
            if value < least or values.setdefault(name, value) != value:
                return None
        return values


def _compile(template: str) -> _Template:
    # The pattern's three groups come between the texts: a literal number, or a field and offset.
    pieces = _SLOT.split(template)
    slots: list[_Slot] = [
        int(number) if number else (name, int(offset or 0))
        for number, name, offset in zip(pieces[1::4], pieces[2::4], pieces[3::4], strict=True)
    ]
    return _Template.of(tuple(pieces[0::4]), tuple(slots))


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


@dataclass(frozen=True, eq=False, repr=False)  # each method made costs a cold start
class Layout:
    """One dialect of an architecture's checkpoints.

    Attributes:
        architecture: "mobileone", "mobilevit", ...
        name: as users say it, e.g. "timm".
        templates: canonical template -> this layout's template.
        lowest: the lowest value of a number field where that is not 0.
        optional_prefix: what files of this layout may or may not put before their keys.
        respelled: beginnings of keys that some files write otherwise -> as in the templates.
        channel_order: "RGB" or "BGR", what programs of this layout feed the network; "" where its
            weights do not depend on the layout.
    """

    architecture: str
    name: str
    templates: Mapping[str, str]
    lowest: Mapping[str, int] = field(default_factory=dict)
    optional_prefix: str = ""
    respelled: Mapping[str, str] = field(default_factory=dict)
    channel_order: str = ""

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

    @cached_property
    def texts(self) -> frozenset[tuple[str, ...]]:
        """Its keys with their numbers taken out, in each way that files may write them."""
        found = set(self._to_canonical)
        for texts in list(found):
            for written, own in (("", self.optional_prefix), *self.respelled.items()):
                if own and texts[0].startswith(own):
                    found.add((written + texts[0][len(own) :], *texts[1:]))
        return frozenset(found)

    @cached_property
    def _left_out(self) -> set[str]:
        """Number fields that some of its templates have not, and the canonical ones have."""
        return {name for ours, theirs in self._rows for name in ours.fields - theirs.fields}

    def canonical_names(self, keys: Iterable[str]) -> dict[str, str]:
        """key -> canonical name of those keys of one file that this layout has."""
        return self.canonical_names_of({key: parsed(key) for key in keys})

    def canonical_names_of(self, keys: Mapping[str, Parsed | None]) -> dict[str, str]:
        """The same of keys that are parsed already, as several layouts may be asked."""
        found: dict[str, tuple[_Template, dict[str, int]]] = {}
        for key, pieces in keys.items():
            match = self._match(self._to_canonical, pieces)
            if match is None and self.optional_prefix:
                match = self._match(self._to_canonical, parsed(self.optional_prefix + key))
            for written, own in self.respelled.items() if match is None else ():
                if key.startswith(written):
                    match = self._match(self._to_canonical, parsed(own + key[len(written) :]))
            if match is not None:
                found[key] = match
        for name in self._left_out:
            self._count(name, found.values())
        return {key: target.fill(values) for key, (target, values) in found.items()}

    @staticmethod
    def _count(field: str, found: Iterable[tuple[_Template, dict[str, int]]]) -> None:
        """Gives the field a value where it has none: the number of those that have one."""
        counts: dict[str, int] = {}
        without = []
        for target, values in found:
            if field not in target.fields:
                continue
            place = target.before(field).fill(values)
            if field in values:
                counts[place] = max(counts.get(place, 0), values[field] + 1)
            else:
                without.append((place, values))
        for place, values in without:
            values[field] = counts.get(place, 0)

    def canonical(self, key: str) -> str | None:
        """The canonical name of a key of this layout by itself; None for a key it has not."""
        return self.canonical_names([key]).get(key)

    def own(self, name: str) -> str | None:
        """This layout's key of a canonical name; None for a name it has no word for."""
        match = self._match(self._to_own, parsed(name))
        return None if match is None else match[0].fill(match[1])

    @cached_property
    def _known_slices(self) -> dict[str, list[str]]:
        """What `slices` found: it is asked for the same names several times in a load."""
        return {}

    @cached_property
    def has_slices(self) -> bool:
        """Whether it stores slices of some tensors."""
        return any(template.endswith("]") for template in self.templates)

    def slices(self, name: str) -> list[str]:
        """What this layout stores of a canonical tensor: [name], or name[0], name[1], ...

        Empty for a name it has no word for.
        """
        known = self._known_slices.get(name)
        if known is None:
            slices = (f"{name}[{i}]" for i in count())
            whole = self.own(name) is not None
            known = [name] if whole else list(takewhile(lambda s: self.own(s) is not None, slices))
            if len(self._known_slices) < _MOST_KNOWN:
                self._known_slices[name] = known
        return known

    def _match(self, index: _Index, key: Parsed | None) -> tuple[_Template, dict[str, int]] | None:
        """The template of the other side that the key leads to, and the values of its fields."""
        if key is None:
            return None
        texts, numbers = key
        for source, target in index.get(texts, ()):
            values = source.match(numbers, self.lowest)
            if values is not None:
                return target, values
        return None

"""Which layout keys are written in, and the same tensors under the names of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

from mobileone.families.naming.table import Layout, parsed
from mobileone.util.errors import CheckpointError, Shape, listed, shown

T = TypeVar("T")


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
    pieces = {key: parsed(key) for key in keys}
    best: tuple[Layout | None, dict[str, str]] = (None, {})
    tried = []
    for layout in layouts:
        names = layout.canonical_names_of(pieces)
        tried.append((layout, names))
        if len(names) > len(best[1]):
            best = (layout, names)
        if len(names) == len(pieces):
            break
    unknown = tuple(key for key in pieces if key not in best[1])
    also = {
        key: _apart(other, best[0]) for key in unknown for other, names in tried if key in names
    }
    return Recognition(best[0], best[1], unknown, also)


def _apart(layout: Layout, best: Layout | None) -> str:
    """The layout's name beside another one's, which may be of another architecture."""
    same = best is not None and best.architecture == layout.architecture
    return layout.name if same else f"{layout.name}'s {layout.architecture}"


def to_canonical(layout: Layout, state: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under canonical names; slices stay slices, see `Layout.slices`.

    Raises:
        CheckpointError: a key that the layout does not have, or two keys of the same name.
    """
    names = layout.canonical_names(state)
    unknown = [shown(key) for key in state if key not in names]
    if unknown:
        raise CheckpointError(f"not keys of the {layout.name} layout: {listed(unknown)}")
    result: dict[str, T] = {}
    for key, name in names.items():
        if name in result:
            raise CheckpointError(f"two tensors are both {shown(name)}; the second is {shown(key)}")
        result[name] = state[key]
    return result


def from_canonical(layout: Layout, state: Mapping[str, T]) -> dict[str, T]:
    """The same tensors under this layout's keys, in the same order.

    Arrays of which the layout stores slices become views.

    Raises:
        CheckpointError: a name that the layout has no word for.
    """
    slices = {name: layout.slices(name) for name in state}
    unknown = [shown(name) for name, parts in slices.items() if not parts]
    if unknown:
        raise CheckpointError(f"the {layout.name} layout has no key for {listed(unknown)}")
    result: dict[str, T] = {}
    for name, parts in slices.items():
        whole: Any = state[name]
        pieces = [whole]
        if len(parts) > 1:
            step = len(whole) // len(parts)
            pieces = [whole[i * step : (i + 1) * step] for i in range(len(parts))]
        for part, piece in zip(parts, pieces, strict=True):
            key = layout.own(part)
            assert key is not None  # slices() lists names that it has
            if key in result:
                raise CheckpointError(f"two tensors are both {shown(key)}: {shown(name)} is one")
            result[key] = piece
    return result


def sliced_shapes(layout: Layout, shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """Canonical shapes by what the layout stores of them: see `Layout.slices`."""
    if not layout.has_slices:
        return dict(shapes)
    result: dict[str, Shape] = {}
    for name, shape in shapes.items():
        slices = layout.slices(name)
        if len(slices) > 1:
            result |= dict.fromkeys(slices, (shape[0] // len(slices), *shape[1:]))
        else:
            result[name] = shape
    return result

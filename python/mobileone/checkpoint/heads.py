"""Classifiers of a state dict: its layout's own, and linear layers of the right size elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from mobileone.util.errors import CheckpointError, Shape, shown


class Head(NamedTuple):
    """A linear layer with a bias, on the pooled features.

    Attributes:
        name: of its module, e.g. "head.fc.1".
        classes: its outputs.
    """

    name: str
    classes: int

    def __str__(self) -> str:
        return f"{shown(self.name)} ({self.classes})"


def find_heads(shapes: Mapping[str, Shape], features: int) -> tuple[Head, ...]:
    """The linear layers among these tensors that read that many features, in order of the file."""
    modules: dict[str, dict[str, Shape]] = {}
    for key, shape in shapes.items():
        module, _, name = key.rpartition(".")
        modules.setdefault(module, {})[name] = shape
    return tuple(
        Head(module, parts["weight"][0])
        for module, parts in modules.items()
        if parts.keys() == {"weight", "bias"}
        and len(parts["weight"]) == 2
        and parts["weight"][1] == features
        and parts["bias"] == parts["weight"][:1]
    )


def is_whole_head(head: Head, shapes: Mapping[str, Shape], features: int) -> bool:
    """Whether nothing beside a head looks like a layer before or after it.

    Args:
        head: one of those that `find_heads` found.
        shapes: of all tensors that belong to no known part.
        features: that heads read.
    """
    rest = [s for key, s in shapes.items() if key.rpartition(".")[0] != head.name]
    return not any(
        (len(shape) == 1 and shape[0] in (features, head.classes))
        or (len(shape) == 2 and shape[1] == head.classes)
        for shape in rest
    )


def choose_head(
    heads: tuple[Head, ...],
    asked: str | None,
    own: str | None,
    num_classes: int | None,
    source: str,
) -> Head | None:
    """The head that is asked for, the layout's own, or the only one; None where none is.

    Args:
        heads: all there are.
        asked: the name of one, or the end of its name after a dot.
        own: the name of the layout's own, if it is there.
        num_classes: that are asked for, if any are; tells heads of several sizes apart.
        source: for messages.

    Raises:
        CheckpointError: none is called as asked, or several are and none is asked for.
    """
    if asked is not None:
        named = [h for h in heads if h.name == asked or h.name.endswith(f".{asked}")]
        if len(named) != 1:
            held = ", ".join(map(str, heads)) or "none"
            raise CheckpointError(f"{source}: head={asked!r}; expected one of its heads: {held}")
        return named[0]
    if own is not None:
        return next((h for h in heads if h.name == own), None)
    fitting = [h for h in heads if num_classes in (None, h.classes)]
    return fitting[0] if len(fitting) == 1 else None


def several_heads(heads: tuple[Head, ...]) -> str:
    """What to do about several heads."""
    example = heads[0].name
    return (
        f"it has {len(heads)} {'heads' if len(heads) > 1 else 'head'} (classes): "
        f"{', '.join(map(str, heads))}; head={example!r} takes that one, num_classes=0 with "
        "strict=False none"
    )

"""The feature maps of a network by number."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobileone._core import Graph

__all__ = ["level_names", "take_levels"]


def level_names(graph: Graph) -> list[str]:
    """The nodes of all levels: stem, stages, and what the head pools where that is another map."""
    names = graph.feature_names
    nodes = graph.nodes
    pools = [node for node in nodes if node["kind"] == "GlobalAvgPool"]
    # Squeeze-and-excite blocks pool too, before the head does.
    if pools and pools[-1]["inputs"][0] not in names:
        return [*names, pools[-1]["inputs"][0]]
    return names


def take_levels(
    names: Sequence[str], out_indices: Any, graph: Graph | None = None
) -> tuple[str, ...]:
    """The chosen ones: by index, from the end if negative; or the last `out_indices`; or nodes of
    the graph by name.

    Raises:
        ValueError: a level or node that does not exist.
        TypeError: neither an integer nor a sequence of them or of names.
    """
    count = len(names)
    if isinstance(out_indices, str):
        out_indices = [out_indices]
    if graph is not None and hasattr(out_indices, "__iter__"):
        out_indices = list(out_indices)
        if out_indices and all(isinstance(name, str) for name in out_indices):
            return _take_nodes(graph, out_indices)
    if not isinstance(out_indices, Sequence) and not hasattr(out_indices, "__iter__"):
        last = operator.index(out_indices)
        if not 1 <= last <= count:
            raise ValueError(f"out_indices is {last}; expected the last 1 to {count} levels")
        return tuple(names[count - last :])
    indices = [operator.index(index) for index in out_indices]
    for index in indices:
        if not -count <= index < count:
            raise ValueError(f"out_indices has {index}; expected {-count} to {count - 1}")
    return tuple(names[index] for index in indices)


def _take_nodes(graph: Graph, names: list[str]) -> tuple[str, ...]:
    known = [node["name"] for node in graph.nodes]
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 3, 0.0)
            raise ValueError(f"out_indices has {name!r}; the graph has nodes like {near}")
    return tuple(names)

"""Axes that a file leaves open: its graph must be the same at other extents of them."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

import numpy as np

from mobileone.checkpoint.graphs.lowering import Lowering
from mobileone.checkpoint.graphs.operators.table import HANDLERS
from mobileone.util.errors import CheckpointError, shown

if TYPE_CHECKING:
    from mobileone.checkpoint.graphs.statement import Array, Program
    from mobileone.checkpoint.graphs.writer import GraphWriter, Made

__all__ = ["check_open_axes"]


def check_open_axes(program: Program, writer: GraphWriter) -> None:
    """What was computed of the extents that were assumed may be constants of the graph by now.

    Extents at which the file itself does not work, an error of its shapes, say nothing.

    Raises:
        NotImplementedError: another graph at other extents; it names the node.
    """
    for extents, other in program.others.items():
        lowering = Lowering(other)
        try:
            lowering.run(HANDLERS)
        except CheckpointError:
            continue
        except NotImplementedError as error:
            raise NotImplementedError(f"{error}; where {extents}, which the file allows") from error
        name = _first_difference(writer, lowering.writer)
        if name is not None:
            raise NotImplementedError(
                f"{program.where}: node {shown(name)!r} is another one where {extents}: it depends "
                "on an extent that the file leaves open; expected an input of fixed shape"
            )


def _first_difference(a: GraphWriter, b: GraphWriter) -> str | None:
    """The name of a node that is not the same in both, whatever the shapes."""
    for one, other in zip_longest(a.nodes, b.nodes):
        if one != other or not _same(a.nodes[one], b.nodes[other]):
            return str(one or other)
    return None


def _same(a: Made, b: Made) -> bool:
    sources = [[given.node for given in made.inputs] for made in (a, b)]
    return (
        a.kind == b.kind
        and sources[0] == sources[1]
        and a.attributes == b.attributes
        and a.weights.keys() == b.weights.keys()
        and all(_equal(values, b.weights[key]) for key, values in a.weights.items())
    )


def _equal(a: Array, b: Array) -> bool:
    return a.ctypes.data == b.ctypes.data or np.array_equal(a, b, equal_nan=True)

"""What `fuse_onnx` did, and the evidence that it changed nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mobileone.interchange.onnx.fuse.regions import Left
from mobileone.util.tables import Column, Table, bytes_text, count_text
from mobileone.verification.equivalence import Equivalence

__all__ = ["FusedRegion", "OnnxFusion"]

_COLUMNS = (
    Column("region", "left"),
    Column("nodes"),
    Column("parameters"),
    Column("MACs / position"),
    Column("bytes"),
    Column("|Δ| / bound"),
    Column("within", "left"),
)
_LISTED = 8


class FusedRegion(NamedTuple):
    """Nodes that became one convolution or matrix product.

    Attributes:
        source, output: the values between which they are; both keep their names.
        nodes: operators before, in topological order.
        nodes_after: operators after.
        parameters: elements of the constants that they read, before and after.
        macs: multiply-adds per position of the result, before and after.
        bytes: of the constants, before and after.
    """

    source: str
    output: str
    nodes: tuple[str, ...]
    nodes_after: tuple[str, ...]
    parameters: tuple[int, int]
    macs: tuple[float, float]
    bytes: tuple[int, int]


@dataclass(frozen=True)
class OnnxFusion(Equivalence):
    """Evidence on whether a fused file is the same function. Truthy when it is.

    `rows` has one stage per region, in float64, then one per output of the whole file where ONNX
    Runtime has run it.

    Attributes:
        regions: what was replaced.
        left: values that could look as if they were merged, and why they were not.
        nodes: in the main graph, before and after.
        parameters: elements of the initializers, before and after.
        bytes: of the initializers, before and after.
        runtime: what ran the whole file, or why nothing did.
    """

    regions: Sequence[FusedRegion] = ()
    left: Sequence[Left] = ()
    nodes: tuple[int, int] = (0, 0)
    parameters: tuple[int, int] = (0, 0)
    bytes: tuple[int, int] = (0, 0)
    runtime: str = ""

    @property
    def message(self) -> str:
        """The verdict in a sentence or two."""
        if self.first_failure is None:
            return "equivalent: every region differs by less than rounding its weights explains"
        return f"NOT equivalent: {self.first_failure} is the first to leave its bound. {self.hint}"

    @property
    def table(self) -> Table:
        """Regions, then whole outputs; what was left is among the notes."""
        rows = []
        for index, row in enumerate(self.rows):
            cells = ["", "", "", ""]
            if index < len(self.regions):
                region = self.regions[index]
                cells = [
                    f"{len(region.nodes)} → {len(region.nodes_after)}",
                    _change(region.parameters, count_text),
                    _change(region.macs, count_text),
                    _change(region.bytes, bytes_text),
                ]
            rows.append([row.name, *cells, f"{row.ratio:.3g}", "yes" if row.ok else "NO"])
        title = f"{self.candidate} against {self.reference}"
        return Table(title, _COLUMNS, rows, self._notes())

    def _notes(self) -> list[str]:
        listed = [f"left: {row.value}: {row.reason}" for row in self.left[:_LISTED]]
        more = len(self.left) - len(listed)
        return [
            f"{_change(self.nodes, str)} nodes",
            f"{_change(self.parameters, count_text)} parameters",
            f"{_change(self.bytes, bytes_text)} of weights",
            *listed,
            *([f"left: {more} more, in `.left`"] if more > 0 else []),
            f"whole file: {self.runtime}",
            self.message,
        ]

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; infinities and NaN stay floats."""
        return {
            **super().to_dict(),
            "regions": [region._asdict() for region in self.regions],
            "left": [row._asdict() for row in self.left],
        }

    def __repr__(self) -> str:
        return self.table.to_text()


def _change(values: tuple[Any, Any], text: Any) -> str:
    return f"{text(values[0])} → {text(values[1])}"

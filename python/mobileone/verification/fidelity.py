"""Fidelity: how near an int8 network is to the float one, and whether its integers are right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import Graph, Plan, reference_forward
from mobileone.data.arrays import Float32
from mobileone.util.machine.threads import thread_count
from mobileone.util.tables import Column, Table, number_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mobileone.network.bundle import Bundle

__all__ = ["Fidelity", "StageNoise", "wrong_integers"]

_COLUMNS = (Column("stage", "left"), Column("SQNR dB"), Column("max |Δ| / max |ref|"))


@dataclass(frozen=True)
class StageNoise:
    """The noise of integers at one stage, over every image compared.

    Attributes:
        name: "stem", "stage 1", ..., "logits".
        sqnr: signal to quantization noise in dB: 10 log10(sum ref^2 / sum (int8 - ref)^2).
        max_rel: largest absolute difference / largest absolute value of the reference.
    """

    name: str
    sqnr: float
    max_rel: float

    @classmethod
    def of(cls, name: str, pairs: Sequence[tuple[Float32, Float32]]) -> StageNoise:
        """From the float network's results and the quantized one's, batch by batch."""
        signal = sum(float(np.square(a, dtype=np.float64).sum()) for a, _ in pairs)
        noise = sum(float(np.square(b.astype(np.float64) - a).sum()) for a, b in pairs)
        largest = max(float(np.abs(a).max(initial=0.0)) for a, _ in pairs)
        error = max(float(np.abs(b - a).max(initial=0.0)) for a, b in pairs)
        ratio = signal / noise if noise else math.inf
        decibels = 10 * math.log10(ratio) if ratio > 0 else -math.inf
        return cls(name, decibels, error / largest if largest else math.nan)


@dataclass(frozen=True)
class Fidelity:
    """What `mobileone.verify` finds of an int8 network. Truthy unless its integers are wrong: how
    much noise is too much is not for it to say.

    Attributes:
        reference: the float network, as text.
        candidate: the int8 one.
        rows: one `StageNoise` per feature level, then the logits.
        top1_agreement: share of images with the same first class.
        images: number of images compared, and what they are.
        wrong: how many integers of all maps that are dequantized differ from those of the exact
            reference; None where float32 comes between integers, as gates do: its rounding moves
            some.
    """

    reference: str
    candidate: str
    rows: Sequence[StageNoise]
    top1_agreement: float
    images: str
    wrong: int | None

    def __bool__(self) -> bool:
        return not self.wrong

    @property
    def message(self) -> str:
        """What there is to say of the integers."""
        if self.wrong is None:
            return "integers: not compared one by one, since float32 comes between them"
        if self.wrong:
            return f"integers: {self.wrong} are NOT those of the exact reference"
        return "integers: bit for bit those of the exact reference"

    @property
    def table(self) -> Table:
        """The rows as a table."""
        rows = [[row.name, number_text(row.sqnr, 1), f"{row.max_rel:.2e}"] for row in self.rows]
        notes = (f"top-1 agreement {self.top1_agreement:.1%} of {self.images}", self.message)
        return Table(f"{self.candidate} against {self.reference}", _COLUMNS, rows, notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; infinities and NaN stay floats."""
        return {**asdict(self), "rows": [asdict(row) for row in self.rows]}

    def plot(self, ax: Axes | None = None) -> Axes:
        """SQNR from stage to stage; needs matplotlib. Returns the axes."""
        from mobileone.figures.quantization import plot_sqnr

        return plot_sqnr([(row.name, row.sqnr) for row in self.rows], self.candidate, ax)

    def __repr__(self) -> str:
        return self.table.to_text()

    def _repr_html_(self) -> str:
        return self.table.to_html()


def wrong_integers(bundle: Bundle, images: Float32) -> int | None:
    """How many integers that the network makes of images are not the reference's; see `Fidelity`.

    A Dequantize's result is its integer times the scale, which float64 holds exactly: rounded once
    it is the engine's float32.
    """
    graph = bundle.graph
    names = [node["name"] for node in graph.nodes if node["kind"] == "Dequantize"]
    if not names or _after_floats(graph).intersection(names):
        return None
    plan = Plan(bundle.network, images.shape, names, thread_count().count)
    found = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(images, found)
    expected, _ = reference_forward(bundle.network, images, names)
    pairs = zip(found, expected, strict=True)
    return sum(int((own != exact.astype(np.float32)).sum()) for own, exact in pairs)


def _after_floats(graph: Graph) -> set[str]:
    """Nodes that are made of something else than images that was quantized: of float32's rounding.
    A classifier in integers, of pooled features, is the last one.
    """
    images, found = set(graph.input_names), set[str]()
    for node in graph.nodes:
        rounded = node["kind"] == "Quantize" and node["inputs"][0] not in images
        if rounded or found.intersection(node["inputs"]):
            found.add(node["name"])
    return found

"""QuantizationReport: what became of every convolution, what each cure brought, what it costs."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mobileone.quantization.judge import Agreement
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["Cure", "QuantizationReport", "Step"]


@dataclass(frozen=True)
class Step:
    """A convolution.

    Attributes:
        name: of its node.
        kind: "depthwise 3x3", ...
        dtype: "int8", or "float32" where it was left alone.
        macs: multiply-adds of one image.
        low: the least value of its result that the integers have.
        high: the largest.
        sqnr: of its result in dB, with all before it quantized, too; None in float32.
        outliers: channels of its result whose range is more than 8 times the median's, before
            scales were moved.
        alone: SQNR of the network's result in dB with nothing else quantized; None if that was not
            measured.
    """

    name: str
    kind: str
    dtype: str
    macs: int
    low: float
    high: float
    sqnr: float | None
    outliers: int
    alone: float | None = None


@dataclass(frozen=True)
class Cure:
    """What one cure brought.

    Attributes:
        name: the argument of `mobileone.quantize`.
        off: SQNR of the result without it and with all others, in dB.
        on: with all.
    """

    name: str
    off: float
    on: float


@dataclass(frozen=True, repr=False)
class QuantizationReport(Tables):
    """What `mobileone.quantize` did; prints as tables.

    Attributes:
        name: of the float network.
        observer: what limited the ranges.
        images: how many there were to calibrate on.
        steps: the convolutions.
        cures: with what each brought, where `ablation` asked for it.
        data: both networks on calibration and held-out images.
        notes: what was odd, and what was not done.
    """

    name: str
    observer: str
    images: int
    steps: Sequence[Step]
    cures: Sequence[Cure]
    data: Sequence[Agreement]
    notes: Sequence[str] = ()

    @property
    def fallback(self) -> list[str]:
        """The convolutions that stayed in float32."""
        return [step.name for step in self.steps if step.dtype != "int8"]

    def summary(self) -> str:
        """Its accuracy in a line: what stands beside every latency."""
        return "; ".join(map(_line, self.data))

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        own = {"schema": "mobileone.quantization/1", "summary": self.summary()}
        return {**own, **dataclasses.asdict(self)}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_text(self) -> str:
        """`to_dict` in a line, for metadata."""
        return json.dumps(self.to_dict(), separators=(",", ":"))

    @classmethod
    def from_text(cls, text: str) -> QuantizationReport:
        """What `to_text` gave.

        Raises:
            ValueError: something else.
        """
        try:
            found = dict(json.loads(text))
            found.pop("schema")
            found.pop("summary")
            return cls(
                **{
                    **found,
                    "steps": tuple(Step(**row) for row in found["steps"]),
                    "cures": tuple(Cure(**row) for row in found["cures"]),
                    "data": tuple(Agreement(**row) for row in found["data"]),
                    "notes": tuple(map(str, found["notes"])),
                }
            )
        except (TypeError, KeyError, ValueError, RecursionError) as error:
            raise ValueError(f"no report of a quantization: {error}") from error

    def to_dataframe(self) -> pandas.DataFrame:
        """A line per convolution; needs pandas."""
        import pandas

        return pandas.DataFrame([dataclasses.asdict(step) for step in self.steps])

    def plot(self, ax: Axes | None = None) -> Axes:
        """SQNR from the first convolution to the last; needs matplotlib. Returns the axes."""
        from mobileone.figures.quantization import plot_sqnr

        return plot_sqnr([(step.name, step.sqnr) for step in self.steps], self.name, ax)

    def tables(self) -> list[Table]:
        """The accuracy, what each cure brought, and a row per convolution."""
        found = [_accuracy_table(self)]
        if self.cures:
            found.append(_cure_table(self.cures))
        return [*found, _step_table(self)]


def _line(row: Agreement) -> str:
    text = f"{row.sqnr:.1f} dB on {row.images} {row.data} images"
    if row.agreement is not None:
        text += f", {row.agreement:.2%} the same class"
    if row.top1_before is not None and row.top1_after is not None:
        text += f", top-1 {row.top1_before:.2%} -> {row.top1_after:.2%}"
    return text


def _percent(value: float | None) -> str:
    return number_text(None if value is None else 100 * value, 2)


def _accuracy_table(report: QuantizationReport) -> Table:
    titles = ["images", "SQNR dB", "same class %", "labelled", "top-1 % float32", "top-1 % int8"]
    rows = [
        [
            row.data,
            str(row.images),
            number_text(row.sqnr, 1),
            _percent(row.agreement),
            str(row.labelled),
            _percent(row.top1_before),
            _percent(row.top1_after),
        ]
        for row in report.data
    ]
    fallback = report.fallback
    notes = [f"ranges by {report.observer} on {report.images} images", *report.notes]
    if fallback:
        notes.append(f"in float32: {', '.join(fallback)}")
    columns = [Column("data", "left"), *map(Column, titles)]
    return Table(f"{report.name} in int8", columns, rows, notes)


def _cure_table(cures: Sequence[Cure]) -> Table:
    rows = [
        [cure.name, *(number_text(value, 1) for value in (cure.off, cure.on, cure.on - cure.off))]
        for cure in cures
    ]
    columns = [Column("cure", "left"), *map(Column, ["off dB", "on dB", "brought dB"])]
    return Table("cures, each off with all others on", columns, rows)


def _step_table(report: QuantizationReport) -> Table:
    titles = ["low", "high", "SQNR dB", "outlier channels", "alone dB"]
    rows = [
        [
            step.name,
            step.kind,
            step.dtype,
            f"{step.low:.3g}",
            f"{step.high:.3g}",
            number_text(step.sqnr, 1),
            str(step.outliers),
            number_text(step.alone, 1),
        ]
        for step in report.steps
    ]
    columns = [Column(title, "left") for title in ("convolution", "kind", "dtype")]
    return Table("convolutions", [*columns, *map(Column, titles)], rows)

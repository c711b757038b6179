"""Equivalence: what `mobileone.verify` found, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mobileone.util.tables import Column, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from mobileone.verification.algebra import WeightDifference

__all__ = ["Equivalence", "StageError"]

_COLUMNS = (
    Column("stage", "left"),
    Column("max |Δ|"),
    Column("max |Δ| / max |ref|"),
    Column("cosine"),
    Column("bound"),
    Column("|Δ| / bound"),
    Column("weights' |Δ| / bound"),
    Column("within", "left"),
)


@dataclass(frozen=True)
class StageError:
    """The difference between two networks at one stage, over every image compared.

    Attributes:
        name: "stem", "stage 1", ..., "logits".
        max_abs: largest absolute difference, in the batch where `ratio` is largest.
        max_rel: largest absolute difference / largest absolute value of the reference.
        cosine: smallest cosine between the two networks' results for a batch.
        bound: largest absolute difference that fp32 rounding explains (docs/verification.md).
        ratio: max_abs / bound.
        ok: whether every value is finite, no batch leaves its bound, and the weights do not either.
        weights: where the stage's weights differ most by exact algebra; None where the two networks
            are not forms of one graph, or the stage has no weights.
    """

    name: str
    max_abs: float
    max_rel: float
    cosine: float
    bound: float
    ratio: float
    ok: bool
    weights: WeightDifference | None = None

    def cells(self) -> list[str]:
        """The table's row."""
        numbers = (f"{self.max_abs:.2e}", f"{self.max_rel:.2e}", f"{self.cosine:.9f}")
        verdict = "yes" if self.ok else "NO"
        weights = "-" if self.weights is None else f"{self.weights.ratio:.3g}"
        return [self.name, *numbers, f"{self.bound:.2e}", f"{self.ratio:.3g}", weights, verdict]


@dataclass(frozen=True)
class Equivalence:
    """Evidence on whether two networks are the same function. Truthy when they are.

    Attributes:
        reference: what was taken for right, as text.
        candidate: what was compared with it.
        rows: one `StageError` per feature level, then the logits.
        top1_agreement: share of images with the same first class.
        images: number of images compared, and what they are.
        false_alarm: probability, per stage, that rounding alone leaves the bound.
        hint: what most often causes the first failure; empty when there is none.
        rounding: what the bounds are of: "fp32", or "bfloat16 and fp32".
    """

    reference: str
    candidate: str
    rows: Sequence[StageError]
    top1_agreement: float
    images: str
    false_alarm: float
    hint: str = ""
    rounding: str = "fp32"

    def __bool__(self) -> bool:
        return self.first_failure is None

    @property
    def first_failure(self) -> str | None:
        """Name of the first stage that leaves its bound, or None."""
        return next((row.name for row in self.rows if not row.ok), None)

    @property
    def message(self) -> str:
        """The verdict in a sentence or two."""
        if self.first_failure is None:
            weights = "" if self.rows[0].weights is None else ", and so do its weights"
            explained = f"less than {self.rounding} rounding explains"
            return f"equivalent: every stage differs by {explained}{weights}"
        return f"NOT equivalent: {self.first_failure} is the first to leave its bound. {self.hint}"

    @property
    def table(self) -> Table:
        """The rows as a table; the verdict is among its notes."""
        notes = (
            f"top-1 agreement {self.top1_agreement:.1%} of {self.images}",
            f"bound: {self.rounding} rounding exceeds it with probability < {self.false_alarm:g}",
            self.message,
        )
        title = f"{self.candidate} against {self.reference}"
        return Table(title, _COLUMNS, [row.cells() for row in self.rows], notes)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values; infinities and NaN stay floats."""
        return {
            "equivalent": bool(self),
            "first_failure": self.first_failure,
            **asdict(self),
            "rows": [asdict(row) for row in self.rows],
        }

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw each stage's error beside its bound; needs matplotlib. Returns the axes."""
        from mobileone.figures import plots

        names = [row.name for row in self.rows]
        errors, bounds = [row.max_abs for row in self.rows], [row.bound for row in self.rows]
        return plots.plot_errors(names, errors, bounds, ax)

    def __repr__(self) -> str:
        return self.table.to_text()

    def _repr_html_(self) -> str:
        return self.table.to_html()

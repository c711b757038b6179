"""History: how a training went, epoch by epoch."""

from __future__ import annotations

import dataclasses
import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mobileone.util.tables import Column, Table, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["Epoch", "History"]


@dataclass(frozen=True)
class Epoch:
    """One pass over the data.

    Attributes:
        epoch: from 1.
        updates: of the weights, since the beginning of the training.
        images: of this epoch.
        loss: mean over the images, of what was minimised: with label smoothing, or the divergence
            from the teachers.
        learning_rate, weight_decay: of the last update.
        gradient_norm: mean over the updates, before clipping.
        size, strength: (height, width) and augmentation strength of the curriculum.
        seconds: of the training alone.
        validation_loss, validation_accuracy: cross entropy and share of right answers of the
            averaged weights, if there are any; None without validation data, and the latter also of
            detectors.
    """

    epoch: int
    updates: int
    images: int
    loss: float
    learning_rate: float
    weight_decay: float
    gradient_norm: float
    size: tuple[int, int]
    strength: float
    seconds: float
    validation_loss: float | None = None
    validation_accuracy: float | None = None

    def summary(self, epochs: int) -> str:
        """The epoch of so many, in a line."""
        text = f"{self.epoch}/{epochs}  loss {self.loss:.4f}"
        if self.validation_loss is not None:
            text += f"  validation {self.validation_loss:.4f}"
        if self.validation_accuracy is not None:
            text += f", {self.validation_accuracy:.2%}"
        return f"{text}  {self.seconds:.1f} s"


@dataclass
class History:
    """The epochs so far.

    Attributes:
        epochs: one row each.
        interrupted: whether Ctrl-C ended the training early.
    """

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False

    @classmethod
    def of(cls, rows: list[dict[str, Any]]) -> History:
        """From what `rows` gave."""
        return cls([Epoch(**{**row, "size": tuple(row["size"])}) for row in rows])

    def rows(self) -> list[dict[str, Any]]:
        """The epochs as dictionaries of plain values."""
        return [dataclasses.asdict(epoch) for epoch in self.epochs]

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain values."""
        return {"epochs": self.rows(), "interrupted": self.interrupted}

    def to_json(self, path: str | os.PathLike[str]) -> None:
        """Write everything."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.to_dict(), file, indent=1)

    def to_dataframe(self) -> pandas.DataFrame:
        """One line per epoch; needs pandas."""
        import pandas

        return pandas.DataFrame(self.rows())

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw loss and accuracy over the epochs; needs matplotlib. Returns the loss's axes."""
        from mobileone.figures.training import plot_history

        return plot_history(self.epochs, ax)

    def table(self) -> Table:
        """A row per epoch."""
        titles = ["epoch", "updates", "size", "strength", "learning rate", "loss"]
        titles += ["validation loss", "accuracy", "images/s"]
        rows = [
            [
                str(e.epoch),
                str(e.updates),
                "x".join(map(str, e.size)),
                f"{e.strength:g}",
                f"{e.learning_rate:.3g}",
                number_text(e.loss),
                number_text(e.validation_loss),
                "-" if e.validation_accuracy is None else f"{e.validation_accuracy:.2%}",
                number_text(e.images / e.seconds if e.seconds else None, 0),
            ]
            for e in self.epochs
        ]
        notes = ["interrupted: the last epoch is not finished"] if self.interrupted else []
        return Table("training", [Column(title) for title in titles], rows, notes)

    def __repr__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        return self.table().to_html()

"""Robustness: accuracy on corrupted, adversarial and rendered pictures (Table 12 of the paper)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint.open import bundle_of
from mobileone.evaluation.corrupted import CorruptedPictures
from mobileone.evaluation.corruptions import SEVERITIES, CorruptionErrors
from mobileone.evaluation.open_data import open_data
from mobileone.evaluation.result import Evaluation, share_cells
from mobileone.evaluation.verb import evaluate
from mobileone.studies import paper
from mobileone.util.files import write_json
from mobileone.util.tables import Column, Table, Tables, number_text

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

__all__ = ["RobustnessResult", "robustness"]

Folder = str | os.PathLike[str]
_CORRUPTED = "imagenet-c"
_MADE = "corruptions made of the clean pictures by this package: not those of ImageNet-C itself"


class RobustnessResult(Tables):
    """What `robustness` returns; prints as tables.

    Attributes:
        evaluations: by data set: "clean", "imagenet-c", "imagenet-a", "imagenet-r",
            "imagenet-sketch".
        made: whether the corruptions are this package's.
    """

    def __init__(self, evaluations: Mapping[str, Evaluation], arch: str, *, made: bool) -> None:
        self.evaluations = dict(evaluations)
        self.made = made
        self._paper = paper.ROBUSTNESS.get(arch, {})

    @property
    def corruptions(self) -> CorruptionErrors | None:
        """Errors by corruption and severity."""
        found = self.evaluations.get(_CORRUPTED)
        return None if found is None else found.corruptions

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-serialisable values."""
        return {
            "schema": "mobileone.robustness/1",
            "made": self.made,
            "evaluations": {name: found.to_dict() for name, found in self.evaluations.items()},
        }

    def to_json(self, path: Folder) -> None:
        """Write `to_dict` to a file."""
        write_json(path, self.to_dict())

    def to_dataframe(self) -> pandas.DataFrame:
        """A line per data set; needs pandas."""
        import pandas

        columns = ["data", "pictures", "top1", "low", "high", "paper"]
        rows = [
            (name, found.count, *found.top1, self._paper.get(name))
            for name, found in self.evaluations.items()
        ]
        return pandas.DataFrame(rows, columns=columns)

    def plot(self, ax: Axes | None = None) -> Axes:
        """Errors over severity, a line per corruption; needs matplotlib. Returns the axes."""
        from mobileone.figures.robustness import plot_corruptions

        if self.corruptions is None:
            raise ValueError("there are no corrupted pictures; expected some to plot")
        return plot_corruptions(self.corruptions.errors, ax)

    def tables(self) -> list[Table]:
        """A row per data set, and the corruptions."""
        rows = []
        for name, found in self.evaluations.items():
            told = None if name == _CORRUPTED else self._paper.get(name)
            cells = share_cells(found.top1)
            rows.append([name, str(found.count), *cells, number_text(told, 1)])
        titles = ["pictures", "top-1 %", "95 % interval", "paper"]
        columns = [Column("data", "left"), *map(Column, titles)]
        notes = [f"{_CORRUPTED}: {_MADE}"] if self.made else []
        if self._paper:
            notes.append(f"paper: Table 12; its mCE is {self._paper[_CORRUPTED]:.1f}")
        tables = [Table("robustness", columns, rows, notes)]
        return tables + (self.corruptions.tables() if self.corruptions else [])


def robustness(
    model: Any,
    *,
    clean: Any = None,
    imagenet_c: Folder | None = None,
    imagenet_a: Folder | None = None,
    imagenet_r: Folder | None = None,
    imagenet_sketch: Folder | None = None,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] = SEVERITIES,
    seed: int = 0,
    **options: Any,
) -> RobustnessResult:
    """Table 12 of the paper, on the data sets that there are.

    Args:
        model: as for `mobileone.evaluate`; of ImageNet's classes for all but `clean`.
        clean: a folder of pictures, of any classes. Without `imagenet_c`, corrupted pictures are
            made of it, at the network's size: seeded, alike and not equal to the published ones.
        imagenet_c: ImageNet-C's folder; and so on.
        imagenet_a: natural adversarial examples.
        imagenet_r: renditions.
        imagenet_sketch: sketches.
        corruptions: which are made; None: all 15.
        severities: which are made.
        seed: of what is random in them.
        options: further arguments of `mobileone.evaluate`.

    Raises:
        ValueError: no data; a bad argument, as of `mobileone.evaluate`.
    """
    found = {}
    if clean is not None:
        found["clean"] = evaluate(model, clean, **options)
    made = clean is not None and imagenet_c is None
    if made:
        pictures, _ = open_data(clean, options.get("labels"))
        data = CorruptedPictures(pictures, corruptions, severities, seed)
        rest = {name: value for name, value in options.items() if name != "labels"}
        found[_CORRUPTED] = evaluate(model, data, **rest)
    for name, folder in (
        (_CORRUPTED, imagenet_c),
        ("imagenet-a", imagenet_a),
        ("imagenet-r", imagenet_r),
        ("imagenet-sketch", imagenet_sketch),
    ):
        if folder is not None:
            found[name] = evaluate(model, folder, preset=name, **options)
    if not found:
        raise ValueError("no data is given; expected clean=, imagenet_c=, imagenet_a=, ...")
    return RobustnessResult(found, _arch(model), made=made)


def _arch(model: Any) -> str:
    return "" if callable(model) and not hasattr(model, "bundle") else bundle_of(model).arch

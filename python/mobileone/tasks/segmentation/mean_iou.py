"""Mean intersection over union, of one confusion matrix over all pictures (Pascal VOC's)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.util.checks import at_least

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["ConfusionMatrix"]

# Of pixels that are no class, in files of 8 bits.
_IGNORED = 255


class ConfusionMatrix:
    """How many pixels of each class were taken for each class.

    Attributes:
        counts: int64 [classes, classes]: true class, found class.
        ignored: the label of pixels that do not count.
    """

    def __init__(self, classes: int, ignored: int = _IGNORED) -> None:
        at_least("classes", classes, 1)
        if ignored == _IGNORED < classes:
            raise ValueError(
                f"classes is {classes}, and label {ignored} of them is ignored; expected "
                "an ignored label that is none, as -1"
            )
        self.counts: npt.NDArray[np.int64] = np.zeros((classes, classes), np.int64)
        self.ignored = ignored

    def add(self, truth: Any, found: Any) -> None:
        """Count the pixels of a picture.

        Args:
            truth: numbers of classes, or `ignored`; integers of any shape.
            found: numbers of classes, of the same shape.

        Raises:
            ValueError: other shapes, other than integers, or a label that is no class.
        """
        truth, found = np.asarray(truth), np.asarray(found)
        if truth.shape != found.shape:
            raise ValueError(f"found has shape {found.shape}; expected {truth.shape} as truth")
        for name, labels in (("truth", truth), ("found", found)):
            if labels.size and labels.dtype.kind not in "biu":
                raise ValueError(f"{name} has dtype {labels.dtype}; expected integers")
        classes = len(self.counts)
        kept = truth != self.ignored
        a, b = truth[kept], found[kept]
        for name, labels in (("truth", a), ("found", b)):
            if labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
                wrong = int(labels[(labels < 0) | (labels >= classes)][0])
                raise ValueError(
                    f"{name} has label {wrong}; expected 0 to {classes - 1}, or {self.ignored}"
                )
        pairs = np.bincount(
            a.astype(np.int64) * classes + b.astype(np.int64), minlength=classes * classes
        )
        self.counts += pairs.reshape(classes, classes)

    @property
    def iou(self) -> npt.NDArray[np.float64]:
        """Of each class, 0 to 1; NaN of a class that is neither there nor found anywhere."""
        both = np.diag(self.counts).astype(np.float64)
        either = self.counts.sum(0) + self.counts.sum(1) - both
        with np.errstate(invalid="ignore"):
            return np.asarray(both / either)

    @property
    def mean_iou(self) -> float:
        """Over the classes that are there or found; NaN without any."""
        values = self.iou[~np.isnan(self.iou)]
        return float(values.mean()) if values.size else float("nan")

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels whose class was found; NaN without any."""
        total = int(self.counts.sum())
        return float(np.trace(self.counts) / total) if total else float("nan")

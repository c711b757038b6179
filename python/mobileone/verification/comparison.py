"""The comparison of two networks' results at one stage, and what a difference looks like."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32
from mobileone.verification.equivalence import StageError

__all__ = ["compare", "diagnose", "worst"]

# Where wrong padding shows: errors at the border this many times those inside.
_BORDER = 4.0
# Relative errors above this are no matter of constants.
_LARGE = 1e-2


def compare(name: str, a: Float32, b: Float32, bound: float) -> StageError:
    """The errors of `b` against `a`; values that are not finite are never within bounds."""
    x, y = a.astype(np.float64).ravel(), b.astype(np.float64).ravel()
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        nan = math.nan
        return StageError(name, nan, nan, nan, bound, math.inf, ok=False)
    error = float(np.abs(x - y).max(initial=0.0))
    ratio = _quotient(error, bound)
    return StageError(
        name,
        max_abs=error,
        max_rel=_quotient(error, float(np.abs(x).max(initial=0.0))),
        cosine=_cosine(x, y),
        bound=bound,
        ratio=ratio,
        ok=math.isfinite(bound) and ratio <= 1.0,
    )


def _quotient(error: float, scale: float) -> float:
    if error == 0.0:
        return 0.0
    return error / scale if scale != 0.0 else math.inf


def _cosine(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> float:
    """1 for two vectors of zeros, 0 for one."""
    # Scaled first: squares of large or tiny activations must not overflow or vanish.
    scales = [float(np.abs(v).max(initial=0.0)) for v in (x, y)]
    if min(scales) == 0.0:
        return float(max(scales) == 0.0)
    x, y = x / scales[0], y / scales[1]
    return float(x @ y / math.sqrt(float(x @ x) * float(y @ y)))


def worst(errors: Sequence[StageError]) -> StageError:
    """The batch that comes closest to its bound, with the largest max_rel and smallest cosine."""
    worst = max(errors, key=lambda error: (not error.ok, error.ratio))
    return StageError(
        worst.name,
        worst.max_abs,
        max_rel=max(error.max_rel for error in errors) if worst.ok else worst.max_rel,
        cosine=min(error.cosine for error in errors) if worst.ok else worst.cosine,
        bound=worst.bound,
        ratio=worst.ratio,
        ok=worst.ok,
    )


def diagnose(a: Float32, b: Float32) -> str:
    """The classic cause that the difference of two results [N, C, ...] at one stage looks like."""
    for name, values in (("reference", a), ("candidate", b)):
        if not np.isfinite(values).all():
            return f"The {name} has values there that are not finite."
    errors = b.astype(np.float64) - a
    if a.ndim == 2:
        return "The feature maps agree, so that it is the pooling or the classifier."
    if min(a.shape[2:]) >= 5 and _rms(_border(errors)) > _BORDER * _rms(errors[:, :, 1:-1, 1:-1]):
        return "The error sits at the border of the maps: check the padding."
    if _rms(errors) > _LARGE * _rms(a.astype(np.float64)):
        return (
            "The error is large: check for a missing branch (skip, scale), and for batch norms "
            "folded with batch statistics of a model left in training mode."
        )
    return (
        "The error is small but not rounding: check the batch norms' eps (1e-5), and whether "
        "weights went through half precision."
    )


def _border(maps: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    rows, columns = maps[:, :, [0, -1], :], maps[:, :, 1:-1, [0, -1]]
    return np.concatenate([rows.ravel(), columns.ravel()])


def _rms(values: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0

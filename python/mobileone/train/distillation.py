"""Distillation as in MEAL-V2: the student learns the mean of its teachers' probabilities.

Shen and Savvides, "MEAL V2: Boosting Vanilla ResNet-50 to 80%+ Top-1 Accuracy on ImageNet without
Tricks", 2020: no labels, no temperature, the Kullback-Leibler divergence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.checkpoint.sources import is_module
from mobileone.data.arrays import as_numpy
from mobileone.network.session import Session
from mobileone.tasks.classification.predict import softmax

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32
    from mobileone.data.config import DataConfig

__all__ = ["check_teachers", "entropy", "fingerprints", "open_teachers", "teachers_probabilities"]

Teacher = Callable[[Any], Any]


def check_teachers(teachers: Sequence[Teacher], config: DataConfig, num_classes: int) -> None:
    """ValueError or TypeError for one that cannot teach such a network.

    Args:
        teachers: models, or what gives logits [N, num_classes] for a batch.
        config: what the student expects of its input, which the teachers get.
        num_classes: the student's.
    """
    normalisation = ("mean", "std", "value_range", "channel_order")
    for index, teacher in enumerate(teachers):
        if is_module(teacher):
            raise TypeError(
                f"teachers[{index}] is a torch module; expected mobileone.load(module), or a "
                "function from a NumPy batch to logits that puts it into eval mode"
            )
        if not callable(teacher):
            raise TypeError(
                f"teachers[{index}] is a {type(teacher).__name__}; expected a model, or a function "
                "from a batch to logits"
            )
        own = getattr(teacher, "data_config", None)
        for name in normalisation if own is not None else ():
            found, expected = getattr(own, name), getattr(config, name)
            if found != expected:
                raise ValueError(
                    f"teachers[{index}] expects images of {name} {found}, the student of {expected}"
                )
        classes = getattr(teacher, "num_classes", num_classes)
        if classes != num_classes:
            raise ValueError(
                f"teachers[{index}] has {classes} classes; expected the student's {num_classes}"
            )


def open_teachers(teachers: Sequence[Teacher]) -> list[Teacher]:
    """What gives their logits: models as they are now, in eval mode whatever theirs is."""
    return [Session(t.bundle).logits if hasattr(t, "bundle") else t for t in teachers]


def fingerprints(teachers: Sequence[Teacher]) -> list[str]:
    """Of each what tells it from others: a digest of a model's weights; of functions nothing."""
    return [
        f"{t.bundle.name} {t.bundle.digest()[:16]}" if hasattr(t, "bundle") else "a function"
        for t in teachers
    ]


def teachers_probabilities(
    teachers: Sequence[Teacher], x: Float32, num_classes: int
) -> npt.NDArray[np.float32]:
    """[N, num_classes], the mean of the teachers' softmax outputs, in float64 until the end."""
    total = np.zeros((len(x), num_classes))
    for index, teacher in enumerate(teachers):
        logits = as_numpy(teacher(x))
        if logits.shape != total.shape:
            raise ValueError(
                f"teachers[{index}] gave an array of shape {logits.shape}; expected logits of "
                f"shape {total.shape}"
            )
        total += softmax(logits)
    return (total / len(teachers)).astype(np.float32)


def entropy(probabilities: npt.NDArray[Any]) -> float:
    """The mean entropy of the rows: the cross entropy that a perfect student would have."""
    p = probabilities.astype(np.float64)
    return float(-np.sum(p * np.log(np.where(p > 0, p, 1.0))) / max(1, len(p)))

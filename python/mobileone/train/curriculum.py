"""Curriculum: image size and augmentation strength that grow while a network learns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from mobileone.util.checks import at_least, height_and_width

__all__ = ["Curriculum", "Stage"]


class Stage(NamedTuple):
    """What holds from an epoch on.

    Attributes:
        epoch: the first one.
        size: (height, width) of the images, or one integer for both.
        strength: of the augmentation, 0 to 1.
    """

    epoch: int
    size: int | tuple[int, int]
    strength: float = 1.0

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.size if isinstance(self.size, tuple) else (self.size, self.size)


@dataclass(frozen=True)
class Curriculum:
    """Stages of a training of `epochs` epochs; for one of another length their starts are scaled.

    Progressive learning: Tan and Le, "EfficientNetV2", ICML 2021; MobileOne, section 3.4.

    Attributes:
        stages: the first one from epoch 0, in their order; tuples of `Stage`'s attributes will do.
        epochs: of the training that the stages' epochs are counted in.

    Raises:
        ValueError: no stages, starts that do not grow from 0, or a value out of range.
    """

    stages: Sequence[Stage]
    epochs: int

    def __post_init__(self) -> None:
        epochs = at_least("curriculum.epochs", self.epochs, 1)
        stages = tuple(_stage(stage) for stage in self.stages)
        starts = [stage.epoch for stage in stages]
        if not starts or starts[0] != 0 or starts != sorted(set(starts)) or starts[-1] >= epochs:
            raise ValueError(
                f"stages start at epochs {starts}; expected 0, then growing ones below {epochs}"
            )
        object.__setattr__(self, "stages", stages)

    @classmethod
    def progressive(cls) -> Curriculum:
        """The paper's: 160, 192 and 224 pixels with strengths of 0.3, 0.6 and 1 from epochs 0, 39
        and 114 of 300.
        """
        return cls((Stage(0, 160, 0.3), Stage(39, 192, 0.6), Stage(114, 224, 1.0)), 300)

    def at(self, epoch: int, epochs: int | None = None) -> Stage:
        """The stage of an epoch, from 0, of a training of `epochs` (default: the curriculum's)."""
        scale = (epochs or self.epochs) / self.epochs
        started = [s for s in self.stages if math.floor(s.epoch * scale + 0.5) <= epoch]
        return started[-1]


def _stage(values: Any) -> Stage:
    try:
        stage = Stage(*values)
    except TypeError:
        raise ValueError(
            f"a stage is {values!r}; expected (epoch, size) or (epoch, size, strength)"
        ) from None
    size = height_and_width("a stage's size", stage.size, 1)
    strength = stage.strength
    if (
        isinstance(strength, bool)
        or not isinstance(strength, int | float)
        or not 0 <= strength <= 1
    ):
        raise ValueError(f"a stage's strength is {strength!r}; expected a number from 0 to 1")
    return Stage(at_least("a stage's epoch", stage.epoch, 0), size, float(strength))

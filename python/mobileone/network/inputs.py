"""What a network can be fed where nobody gives images: shapes, and seeded noise."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from mobileone.families import family_of
from mobileone.util.checks import at_least, height_and_width, seed_of

if TYPE_CHECKING:
    from mobileone._core import Graph

__all__ = ["InputSize", "TakesImages", "input_shape", "random_input", "total_macs"]

InputSize: TypeAlias = "int | tuple[int, int] | None"


class TakesImages(Protocol):
    """A `Bundle`, or what stands for one."""

    @property
    def config(self) -> dict[str, Any]: ...  # noqa: D102 - see Bundle
    @property
    def graph(self) -> Graph: ...  # noqa: D102
    @property
    def input_size(self) -> tuple[int, int]: ...  # noqa: D102


def input_shape(model: TakesImages, size: InputSize, batch_size: int) -> tuple[int, int, int, int]:
    """(batch, channels, height, width); ``size`` None means the model's own input size."""
    batch = at_least("batch_size", batch_size, 1)
    if size is None:
        height, width = model.input_size
    else:
        height, width = height_and_width("input_size", size, family_of(model.config).min_size)
    return batch, int(model.config["in_channels"]), height, width


def random_input(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Seeded standard-normal pixels, the distribution of normalised images."""
    return np.random.default_rng(seed_of(seed)).standard_normal(shape, dtype=np.float32)


def total_macs(model: TakesImages, shape: tuple[int, int, int, int]) -> int:
    """Multiply-adds of one run on a batch of that shape, with attention's matrix products."""
    image = (1, *shape[1:])
    return shape[0] * (model.graph.macs(image) + model.graph.attention_macs(image))

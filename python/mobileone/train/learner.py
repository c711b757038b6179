"""Learner: everything that an update changes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone.train.averaging import Average
from mobileone.train.gradients import Gradients
from mobileone.train.optimizers import make_optimizer, trained
from mobileone.train.schedules import average_decay, learning_rate, weight_decay

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32
    from mobileone.train.gradients import GradientSource
    from mobileone.train.recipe import Recipe
    from mobileone.train.targets import Targets

__all__ = ["Learner"]


class Learner:
    """Weights, their average and the optimizer's memory.

    Attributes:
        source: of the gradients; has the weights.
        rate, decay: learning rate and weight decay of the last update.

    Args:
        source: see `GradientSource`.
        recipe: how to learn.
        targets: checks what data give beside the images.
    """

    def __init__(self, source: GradientSource, recipe: Recipe, targets: Targets) -> None:
        self.source = source
        self.recipe = recipe
        self._targets = targets
        self.optimizer = make_optimizer(recipe, source.parameters)
        self.average = Average(self.weights) if recipe.ema_decay is not None else None
        self.rate = self.decay = 0.0
        self._gradients = Gradients()
        self._batches = 0

    @property
    def updates(self) -> int:
        """How many were made."""
        return self.optimizer.updates

    @property
    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """Of the last update: parameters and statistics, not copied."""
        return self.source.network.weights()

    @property
    def is_due(self) -> bool:
        """Whether enough batches were seen for an update."""
        return self._batches >= self.recipe.accumulation

    def see(self, x: Float32, targets: Any) -> float:
        """The loss of a batch, whose gradients the next update will have in it.

        Args:
            x: images [N, C, H, W], normalised.
            targets: what data give beside them.
        """
        wanted, floor, smoothing = self._targets(x, targets)
        loss, gradients = self.source.loss_and_gradients(x, wanted, label_smoothing=smoothing)
        wanted = self.optimizer.parameters
        self._gradients.add({name: gradients[name] for name in wanted}, len(x))
        self._batches += 1
        return loss - floor

    def discard(self) -> None:
        """Forgets batches that wait for their update."""
        self._gradients, self._batches = Gradients(), 0

    def update(self, epoch: float) -> tuple[float, str | None]:
        """Changes the weights by what was seen since the last update.

        Args:
            epoch: time in epochs, a fraction within one.

        Returns:
            The norm of the gradients, and None; or the name of a parameter whose gradient is not
            finite, the last one of the network, which is the first of the backward pass: nothing
            was changed then.
        """
        gradients, norm = self._gradients.take(self.recipe.clip_norm)
        self._batches = 0
        if not math.isfinite(norm):
            bad = [name for name, array in gradients.items() if not np.isfinite(array).all()]
            return norm, bad[-1] if bad else "all parameters together"
        self.rate = learning_rate(self.recipe, epoch)
        self.decay = weight_decay(self.recipe, epoch)
        self.optimizer.update(gradients, self.rate, self.decay)
        if self.average is not None:
            self.average.update(self.weights, average_decay(self.recipe, self.updates))
        return norm, None

    def published(self) -> dict[str, npt.NDArray[Any]]:
        """The weights to use: averaged where there are any."""
        return self.weights if self.average is None else self.average.weights

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that is to be kept, by name; not copied."""
        kept = {f"model.{name}": array for name, array in self.weights.items()}
        kept |= {f"optimizer.{name}": array for name, array in self.optimizer.state.items()}
        if self.average is not None:
            kept |= {f"ema.{name}": array for name, array in self.average.weights.items()}
        return kept

    def restore(self, arrays: dict[str, npt.NDArray[Any]], updates: int) -> None:
        """Puts back what `arrays` gave: of the same names and shapes."""
        self.source.load({name: arrays[f"model.{name}"] for name in self.weights})
        # These may be other arrays now; the rest is overwritten.
        self.optimizer.parameters = trained(self.recipe, self.source.parameters)
        for name, array in self.optimizer.state.items():
            array[...] = arrays[f"optimizer.{name}"]
        for name, array in self.average.weights.items() if self.average is not None else ():
            array[...] = arrays[f"ema.{name}"]
        self.optimizer.updates = updates

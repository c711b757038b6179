"""Optimizers: they change weights in place, by element-wise operations in a fixed order.

So results depend neither on the number of threads nor on what else runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import adamw_update, sgd_update

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.train.recipe import Recipe

__all__ = ["SGD", "AdamW", "Optimizer", "make_optimizer", "trained"]

Arrays = Mapping[str, "npt.NDArray[Any]"]


class Optimizer:
    """What all have in common.

    Attributes:
        parameters: by name, which `update` changes in place.
        decayed: names of those that weight decay applies to.
        state: what is remembered between updates, by "<what>.<name>".
        updates: how many were made.
    """

    def __init__(self, parameters: Arrays, decayed: frozenset[str], *kept: str) -> None:
        self.parameters = parameters
        self.decayed = decayed
        self.state = {
            f"{what}.{name}": np.zeros_like(array)
            for what in kept
            for name, array in parameters.items()
        }
        self.updates = 0

    def update(self, gradients: Arrays, learning_rate: float, weight_decay: float) -> None:
        """One step down the gradients, which may be overwritten."""
        self.updates += 1
        decays = [weight_decay if name in self.decayed else 0.0 for name in self.parameters]
        arrays = (*self.parameters.values(), *(gradients[name] for name in self.parameters))
        if all(a.dtype == np.float32 and a.flags.c_contiguous for a in arrays):
            self._change_all([gradients[name] for name in self.parameters], learning_rate, decays)
            return
        for (name, parameter), decay in zip(self.parameters.items(), decays, strict=True):
            self._change(name, parameter, gradients[name], learning_rate, decay)

    def _change(self, name: str, w: Any, g: Any, learning_rate: float, decay: float) -> None:
        """The definition, for any dtype: in float32 the same bits as `_change_all`."""
        raise NotImplementedError

    def _change_all(self, gradients: list[Any], learning_rate: float, decays: list[float]) -> None:
        """The engine's, of float32."""
        raise NotImplementedError

    def _kept(self, what: str) -> list[Any]:
        return [self.state[f"{what}.{name}"] for name in self.parameters]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, as torch.optim.SGD: v = m v + g + d w;
    w = w - r v, or with Nesterov's momentum w - r (g + d w + m v).
    """

    def __init__(
        self, parameters: Arrays, decayed: frozenset[str], momentum: float, *, nesterov: bool
    ) -> None:
        super().__init__(parameters, decayed, "momentum")
        self.momentum, self.nesterov = momentum, nesterov

    def _change(self, name: str, w: Any, g: Any, learning_rate: float, decay: float) -> None:
        velocity = self.state[f"momentum.{name}"]
        if decay:
            g += decay * w
        velocity *= self.momentum
        velocity += g
        w -= learning_rate * (g + self.momentum * velocity if self.nesterov else velocity)

    def _change_all(self, gradients: list[Any], learning_rate: float, decays: list[float]) -> None:
        sgd_update(
            list(self.parameters.values()),
            gradients,
            self._kept("momentum"),
            decays,
            learning_rate,
            self.momentum,
            self.nesterov,
        )


class AdamW(Optimizer):
    """Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as torch.optim.AdamW."""

    def __init__(
        self,
        parameters: Arrays,
        decayed: frozenset[str],
        betas: tuple[float, float],
        epsilon: float,
    ) -> None:
        super().__init__(parameters, decayed, "mean", "square")
        self.betas, self.epsilon = betas, epsilon

    def _change(self, name: str, w: Any, g: Any, learning_rate: float, decay: float) -> None:
        mean, square = self.state[f"mean.{name}"], self.state[f"square.{name}"]
        first, second = self.betas
        if decay:
            w *= 1.0 - learning_rate * decay
        mean *= first
        mean += (1.0 - first) * g
        np.multiply(g, g, out=g)
        square *= second
        square += (1.0 - second) * g
        root = np.sqrt(square)
        root *= 1.0 / math.sqrt(1.0 - second**self.updates)
        root += self.epsilon
        np.divide(mean, root, out=root)
        root *= learning_rate / (1.0 - first**self.updates)
        w -= root

    def _change_all(self, gradients: list[Any], learning_rate: float, decays: list[float]) -> None:
        adamw_update(
            list(self.parameters.values()),
            gradients,
            self._kept("mean"),
            self._kept("square"),
            decays,
            learning_rate,
            self.betas,
            self.epsilon,
            self.updates,
        )


def trained(recipe: Recipe, parameters: Arrays) -> dict[str, npt.NDArray[Any]]:
    """The parameters that the recipe does not freeze; ValueError for a pattern that fits none."""
    for pattern in recipe.frozen:
        if not any(fnmatchcase(name, pattern) for name in parameters):
            raise ValueError(
                f"frozen has {pattern!r}, which is no parameter; expected some as "
                f"{next(iter(parameters))}"
            )
    return {
        name: array
        for name, array in parameters.items()
        if not any(fnmatchcase(name, pattern) for pattern in recipe.frozen)
    }


def make_optimizer(recipe: Recipe, parameters: Arrays) -> Optimizer:
    """The recipe's, for `trained` of these. Norms and biases are the tensors of one axis."""
    parameters = trained(recipe, parameters)
    decayed = frozenset(
        name
        for name, array in parameters.items()
        if recipe.decay_norms_and_biases or array.ndim > 1
    )
    if recipe.optimizer == "adamw":
        return AdamW(parameters, decayed, recipe.betas, recipe.epsilon)
    return SGD(parameters, decayed, recipe.momentum, nesterov=recipe.nesterov)

"""What changes from update to update: learning rate, weight decay, decay of averaged weights."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mobileone.train.recipe import Recipe

__all__ = ["average_decay", "cosine", "learning_rate", "weight_decay"]


def cosine(start: float, end: float, progress: float) -> float:
    """From `start` at progress 0 to `end` at 1, by half a period of a cosine."""
    share = (1.0 + math.cos(math.pi * min(max(progress, 0.0), 1.0))) / 2.0
    return end + (start - end) * share


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """At a time in epochs, a fraction within one."""
    if epoch < recipe.warmup_epochs:
        grown = recipe.learning_rate - recipe.warmup_learning_rate
        return recipe.warmup_learning_rate + grown * epoch / recipe.warmup_epochs
    rest = recipe.epochs - recipe.warmup_epochs
    progress = (epoch - recipe.warmup_epochs) / rest if rest else 1.0
    return cosine(recipe.learning_rate, recipe.final_learning_rate, progress)


def weight_decay(recipe: Recipe, epoch: float) -> float:
    """The coefficient at a time in epochs."""
    return cosine(recipe.weight_decay, recipe.final_weight_decay, epoch / recipe.epochs)


def average_decay(recipe: Recipe, update: int) -> float:
    """Of the averaged weights at an update, from 1."""
    decay = recipe.ema_decay or 0.0
    return min(decay, update / (update + 9)) if recipe.ema_warmup else decay

"""Loop: epochs of updates, which can be taken up again at any of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mobileone.train import random_state
from mobileone.train.curriculum import Curriculum, Stage
from mobileone.train.divergence import first_not_finite
from mobileone.train.history import Epoch, History
from mobileone.util.errors import CheckpointError

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32
    from mobileone.network.session import Session
    from mobileone.train.interrupt import Interrupt
    from mobileone.train.learner import Learner
    from mobileone.train.progress import Progress
    from mobileone.train.sources import Source

__all__ = ["Loop"]


@dataclass
class _Totals:
    """Of the epoch so far; batches and images that updates were made of."""

    batches: int = 0
    images: int = 0
    updates: int = 0
    loss: float = 0.0
    norm: float = 0.0
    seconds: float = 0.0
    steps: int | None = None  # batches of the whole epoch, where the data say it


class Loop:
    """Where a training is.

    Attributes:
        learner: what is changed.
        history: finished epochs.

    Args:
        session: of the network; says what images it takes.
        learner: see `Learner`.
        save: writes a checkpoint.
        save_every: updates between checkpoints within an epoch; 0: none.
    """

    def __init__(
        self, session: Session, learner: Learner, save: Callable[[], None], save_every: int
    ) -> None:
        self.learner = learner
        self.history = History()
        self._session, self._save, self._save_every = session, save, save_every
        self._totals = _Totals()
        self._random: dict[str, Any] = {}
        self._usual_batches: int | None = None  # of an epoch, where the data do not say it

    @property
    def epoch(self) -> int:
        """The one under way, from 0."""
        return len(self.history.epochs)

    def stage(self) -> Stage:
        """Image size and strength of the epoch."""
        recipe = self.learner.recipe
        own = Curriculum(((0, self._session.bundle.input_size),), recipe.epochs)  # type: ignore[arg-type]
        return (recipe.curriculum or own).at(self.epoch, recipe.epochs)

    def run_epoch(self, source: Source, progress: Progress, interrupt: Interrupt) -> bool:
        """The rest of an epoch; False if it was interrupted before its end.

        Raises:
            FloatingPointError: see `Trainer.fit`.
        """
        stage, totals, learner = self.stage(), self._totals, self.learner
        learner.discard()
        steps = source.steps(self.epoch) or self._usual_batches
        if totals.batches:
            self._check_steps(steps)
            random_state.restore(self._random)
        else:
            self._random = random_state.capture()
            totals.steps = steps
        batches = source.batches(self.epoch, stage.image_size, stage.strength, totals.batches)
        start, pending = time.perf_counter(), _Totals()
        for x, targets in batches:
            images = self._session.images(x)
            self._see(images, targets, pending)
            if not learner.is_due:
                continue
            self._update(images, pending, steps)
            now, pending = time.perf_counter(), _Totals()
            totals.seconds, start = totals.seconds + now - start, now
            progress.move(self.epoch, totals.batches, steps, totals.loss / totals.images)
            if interrupt.requested:
                return False
            if self._save_every and totals.updates % self._save_every == 0:
                self._save()
        if pending.batches:
            self._update(images, pending, steps)
            totals.seconds += time.perf_counter() - start
        if not totals.updates:
            raise ValueError(f"data gave no batches in epoch {self.epoch + 1}; expected some")
        return True

    def finish_epoch(self, measured: tuple[float, float | None] | None) -> str:
        """Puts the epoch into the history, with validation loss and accuracy; says it in a line."""
        stage, totals, learner = self.stage(), self._totals, self.learner
        loss, accuracy = measured or (None, None)
        epoch = Epoch(
            epoch=self.epoch + 1,
            updates=learner.updates,
            images=totals.images,
            loss=totals.loss / totals.images,
            learning_rate=learner.rate,
            weight_decay=learner.decay,
            gradient_norm=totals.norm / totals.updates,
            size=stage.image_size,
            strength=stage.strength,
            seconds=totals.seconds,
            validation_loss=loss,
            validation_accuracy=accuracy,
        )
        self._usual_batches = totals.batches
        self.history.epochs.append(epoch)
        self._totals = _Totals()
        return epoch.summary(learner.recipe.epochs)

    def _check_steps(self, steps: int | None) -> None:
        """ValueError where an epoch cannot be gone on with, for its data are others."""
        before = self._totals.steps
        if None not in (before, steps) and before != steps:
            raise ValueError(
                f"data has {steps} batches; expected {before}, as in the part of epoch "
                f"{self.epoch + 1} that is gone on with"
            )

    def facts(self) -> dict[str, Any]:
        """What is to be kept beside the learner's arrays; types of JSON."""
        return {
            "updates": self.learner.updates,
            "history": self.history.rows(),
            "totals": asdict(self._totals),
            "random": self._random,
            "usual_batches": self._usual_batches,
            "dropout_seed": self.learner.source.dropout_seed,
            "rate": self.learner.rate,
            "decay": self.learner.decay,
        }

    def restore(self, arrays: dict[str, Any], facts: dict[str, Any], where: str) -> None:
        """Puts back what the learner's `arrays` and `facts` gave; `where`: for messages."""
        try:
            self.history = History.of(facts["history"])
            self._totals = _Totals(**facts["totals"])
            self._random = facts["random"]
            self._usual_batches = facts["usual_batches"]
            self.learner.source.dropout_seed = facts["dropout_seed"]
            self.learner.rate, self.learner.decay = facts["rate"], facts["decay"]
            self.learner.restore(arrays, facts["updates"])
        except (KeyError, TypeError) as error:
            raise CheckpointError(f"{where}: damaged state of the training: {error}") from error

    def _see(self, images: Float32, targets: Any, pending: _Totals) -> None:
        try:
            loss = self.learner.see(images, targets)
        except FloatingPointError:  # before there is a loss
            loss = math.nan
        if loss - loss != 0:  # NaN or infinite
            raise self._diverged(f"the loss is {loss}", images)
        pending.batches += 1
        pending.images += len(images)
        pending.loss += loss * len(images)

    def _update(self, images: Float32, pending: _Totals, steps: int | None) -> None:
        """An update with all batches that wait for one; `images`: of the last of them."""
        totals = self._totals
        share = min(1.0, totals.batches / steps) if steps else 0.0
        norm, bad = self.learner.update(self.epoch + share)
        if bad is not None:
            raise self._diverged(f"the gradient of {bad} is not finite", images)
        totals.batches += pending.batches
        totals.images += pending.images
        totals.loss += pending.loss
        totals.updates += 1
        totals.norm += norm

    def _diverged(self, what: str, images: Float32) -> FloatingPointError:
        source = self.learner.source
        seed = max(0, source.dropout_seed - 1)
        layer = (
            first_not_finite(source.network, source.parameters, images, 1, seed)
            or "none: all outputs are finite"
        )
        where = f"update {self.learner.updates + 1}, epoch {self.epoch + 1}"
        return FloatingPointError(
            f"{where}: {what}; the first that is not finite is {layer}. Learning rate "
            f"{self.learner.rate:g}: try a smaller one, or clip_norm"
        )

"""Trainer: trains a model on data by a recipe."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mobileone._core import Network
from mobileone.families.family import TRAIN_TIME
from mobileone.network.session import Session
from mobileone.network.training_step import TrainingStep
from mobileone.tasks.classification.synsets import imagenet_synsets
from mobileone.train.detection import (
    DetectorStep,
    detector_validation,
    open_detection_sources,
)
from mobileone.train.distillation import check_teachers, fingerprints, open_teachers
from mobileone.train.evaluation import evaluate
from mobileone.train.history import History
from mobileone.train.interrupt import Interrupt
from mobileone.train.learner import Learner
from mobileone.train.loop import Loop
from mobileone.train.progress import Progress
from mobileone.train.recipe import Recipe
from mobileone.train.sources import open_sources
from mobileone.train.state_file import (
    describe_state,
    read_state,
    remove_partial,
    write_state,
)
from mobileone.train.targets import ClassTargets, ObjectTargets
from mobileone.util.checks import at_least
from mobileone.util.errors import listed
from mobileone.util.files import check_writable
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle
    from mobileone.train.gradients import GradientSource
    from mobileone.train.sources import Source
    from mobileone.train.targets import Targets

__all__ = ["Trainer"]


class Trainer:
    """Trains a model in place.

    >>> model = mobileone.create_model("mobileone_s0", num_classes=10)
    >>> trainer = mobileone.Trainer(model, mobileone.Recipe(epochs=30, batch_size=32))
    >>> history = trainer.fit("photos/", validation="photos_held_out/")
    >>> mobileone.reparameterize(model).save("fused.safetensors")

    At the end of every epoch, and when `fit` returns, `model` has the weights to use: averaged ones
    if the recipe has `ema_decay`. Training goes on from the others, `latest`. The same seed gives
    the same weights, bit by bit, with any number of threads.

    Attributes:
        model: what is trained.
        recipe: how.

    Args:
        model: a `mobileone.Model` in train-time form.
        recipe: default: `Recipe()`.
        teachers: models, as they are now and in eval mode, or functions from a batch [N, C, H, W]
            to logits: the model learns the mean of their probabilities (MEAL-V2) instead of labels.
        checkpoint: a file that everything is written to after every epoch, after every
            `checkpoint_updates` updates, and on Ctrl-C: whole or not at all.
        checkpoint_updates: None: only after epochs.
        resume: whether to go on from `checkpoint`, if that file is there; then the weights are the
            same, bit by bit, as if there had been no break.
        overwrite: whether another training's `checkpoint`, or any other file there, is replaced.
        threads: default: `mobileone.show_config()` says how many and why.
        train_path: "auto", "moments" or "branches": how blocks are computed.
        progress: None shows a bar on stderr in terminals, True everywhere (a line per epoch where
            there is no terminal), False nothing.

    Raises:
        ValueError: a model in inference form, or an argument out of range.
        CheckpointError: `checkpoint` is damaged, or of another network, recipe or teacher.
        FileExistsError: `checkpoint` is there already, and neither `resume` nor `overwrite` given.
        OSError: it cannot be written.
        TypeError: no model, or no recipe.
    """

    def __init__(
        self,
        model: Any,
        recipe: Recipe | None = None,
        *,
        teachers: Sequence[Callable[[Any], Any]] = (),
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_updates: int | None = None,
        resume: bool = False,
        overwrite: bool = False,
        threads: int | None = None,
        train_path: str = "auto",
        progress: bool | None = None,
    ) -> None:
        if not hasattr(model, "bundle"):
            raise TypeError(f"model is a {type(model).__name__}; expected a mobileone.Model")
        self.model = model
        self.recipe = Recipe() if recipe is None else recipe
        if not isinstance(self.recipe, Recipe):
            raise TypeError(f"recipe is a {type(recipe).__name__}; expected a mobileone.Recipe")
        bundle: Bundle = model.bundle
        self._detects = bundle.task == "detection"
        if not self._detects:
            _check_learns(bundle)
        if bundle.form != TRAIN_TIME:
            raise ValueError(f"model is in {bundle.form} form; expected the {TRAIN_TIME} form")
        if resume and checkpoint is None:
            raise ValueError("resume is True; expected a checkpoint to resume from")
        if resume and overwrite:
            raise ValueError("resume and overwrite are True; expected one of them")
        if checkpoint is not None and not (resume or overwrite):
            _check_free(checkpoint)
        if checkpoint is not None:
            check_writable(checkpoint)
        if checkpoint_updates is not None:
            at_least("checkpoint_updates", checkpoint_updates, 1)
        if self._detects and teachers:
            raise ValueError("teachers are given; expected none: detectors learn from objects")
        check_teachers(teachers, bundle.data_config, bundle.num_classes)
        self._teachers = fingerprints(teachers)
        self._targets = self._targets_of(bundle, open_teachers(teachers))
        self._checkpoint, self._progress = checkpoint, progress
        self._threads = thread_count(threads).count
        self._session = Session(bundle)
        source = self._gradient_source(bundle, train_path)
        source.dropout_seed = self.recipe.seed
        learner = Learner(source, self.recipe, self._targets)
        save = (lambda: None) if checkpoint is None else self.save
        self._loop = Loop(self._session, learner, save, checkpoint_updates or 0)
        if checkpoint is not None and resume and os.path.exists(checkpoint):
            remove_partial(checkpoint)
            self._restore(checkpoint)

    def _gradient_source(self, bundle: Bundle, train_path: Any) -> GradientSource:
        step = DetectorStep if self._detects else TrainingStep
        return step(bundle, self._threads, train_path)

    def _targets_of(self, bundle: Bundle, teachers: Sequence[Callable[[Any], Any]]) -> Targets:
        smoothing = self.recipe.label_smoothing
        if self._detects:
            return ObjectTargets(bundle.num_classes, smoothing)
        return ClassTargets(bundle.num_classes, smoothing, teachers)

    def _measured(self, held_out: Source) -> tuple[float, float | None]:
        bundle: Bundle = self.model.bundle
        if self._detects:
            return detector_validation(bundle, held_out, self._targets)
        return evaluate(bundle, held_out)

    @property
    def history(self) -> History:
        """Of all epochs so far."""
        return self._loop.history

    @property
    def latest(self) -> Any:
        """A model with the weights of the last update, not averaged."""
        weights = self._loop.learner.weights
        return type(self.model).of(replace(self.model.bundle, network=self._network(weights)))

    def fit(self, data: Any, validation: Any = None) -> History:
        """Train until the recipe's last epoch; a second call goes on where the first one stopped.

        Ctrl-C stops after the update under way: the history says `interrupted`, everything is
        kept. A second Ctrl-C stops at once.

        Args:
            data: one of

                - (images, labels): images uint8 [N, H, W, C] or [N, C, H, W], which are augmented,
                  or floating-point network input [N, C, H, W], which is not; labels class indices
                  [N] or probabilities [N, K]
                - the path of a folder with one folder of images per class; classes are in the
                  order of `model.class_names`, if these are the folders' names, else in theirs
                - "digits": scikit-learn's, with its last 20 %, by other writers, for validation; or
                  "digits-shuffled", with a random 20 %
                - an iterable of such (images, labels) batches, as torch's DataLoader, or a function
                  (epoch, (height, width), strength) that gives one; `set_epoch` is called where it
                  or its sampler has it. Batches are taken as they are.

                A detector learns from objects instead of labels, in its images' pixels: of each
                image (boxes [n, 4], labels [n] from 1 on) or a dict with "boxes" and "labels". As
                (images, objects), in batches of that, or as (COCO's annotations, folder): two
                paths. Of the augmentation crops and flips happen, and boxes follow.
            validation: the same, evaluated after every epoch; of detectors the loss alone.

        Raises:
            FloatingPointError: loss or gradients that are not finite; says at which update, and
                which layer is the first.
            ValueError, TypeError: data that do not fit the model, or are fewer or more than in the
                part of the epoch that is gone on with.
        """
        loop, config = self._loop, self._session.bundle.data_config
        given = (data, validation, config, self.recipe)
        if self._detects:
            source, held_out = open_detection_sources(*given)
        else:
            known = None if self.model.bundle.untrained else self.model.class_names
            source, held_out = open_sources(*given, known)
        self._name_classes(source)
        progress = Progress(self.recipe.epochs, self._progress)
        with Interrupt() as interrupt:
            loop.history.interrupted = False
            while len(loop.history.epochs) < self.recipe.epochs and not interrupt.requested:
                if loop.run_epoch(source, progress, interrupt):
                    self._publish()
                    measured = None if held_out is None else self._measured(held_out)
                    progress.finish_epoch(loop.finish_epoch(measured))
                if self._checkpoint is not None:
                    self.save()
            loop.history.interrupted = interrupt.requested
        self._publish()
        return loop.history

    def save(self, path: str | os.PathLike[str] | None = None) -> None:
        """Write the state of the training, between updates.

        Args:
            path: default: `checkpoint`.
        """
        target = self._checkpoint if path is None else path
        if target is None:
            raise ValueError("path is None; expected a file, or a trainer with a checkpoint")
        facts = {"recipe": self.recipe.to_json(), **self._told(), **self._loop.facts()}
        write_state(target, self._loop.learner.arrays(), facts)

    def _told(self) -> dict[str, str]:
        """Of the network what its tensors do not show, and who teaches it, as JSON by name."""
        bundle: Bundle = self._session.bundle
        own = {"config": json.dumps(bundle.config), "data_config": bundle.data_config.to_json()}
        return {**own, "teachers": json.dumps({"teachers": self._teachers})}

    def _restore(self, path: str | os.PathLike[str]) -> None:
        expected = self._loop.learner.arrays()
        arrays, facts = read_state(path, expected, self.recipe.to_json(), self._told())
        self._loop.restore(arrays, facts, os.fsdecode(path))
        self._publish()

    def _publish(self) -> None:
        self.model.network = self._network(self._loop.learner.published())

    def _network(self, weights: Any) -> Network:
        return Network(self.model.bundle.graph, weights)

    def _name_classes(self, source: Source) -> None:
        """Takes the names of the classes from the data, where the model's last layer has none."""
        names, count = source.class_names, self.model.num_classes
        if names is None:
            return
        if len(names) != count:
            raise ValueError(f"data has {len(names)} classes; expected the model's {count}")
        old = self.model.class_names
        if old is None or self.model.bundle.untrained:
            self.model.class_names = names
        elif old != names != imagenet_synsets():
            self.model.class_names = names
            warnings.warn(
                f"the model's classes were {listed(old)}; from now on they are those of the data, "
                f"{listed(names)}",
                stacklevel=3,
            )


def _check_learns(bundle: Bundle) -> None:
    """ValueError of a network that cross entropy teaches nothing."""
    bundle.check_classifies("Trainer")
    if bundle.num_classes < 2:
        raise ValueError(
            f"model has {bundle.num_classes} classes, of which there is nothing to learn; expected "
            "two or more"
        )


def _check_free(checkpoint: str | os.PathLike[str]) -> None:
    """FileExistsError if a training that is not gone on with would replace a file."""
    if os.path.exists(checkpoint):
        raise FileExistsError(
            f"{os.fsdecode(checkpoint)}: found {describe_state(checkpoint)}; expected no file yet. "
            "resume goes on from it, overwrite begins anew and replaces it"
        )

"""`mobileone train`: a model learns from a folder of images, or from handwritten digits."""

from __future__ import annotations

import argparse
import os
import warnings
from dataclasses import replace
from typing import Any

from mobileone.checkpoint.export import kind_of_file
from mobileone.checkpoint.load import NewClassifierWarning
from mobileone.checkpoint.open import is_variant
from mobileone.cli.summary import forms_table
from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.data.datasets.digits import BUILT_IN
from mobileone.data.datasets.folder import FolderSamples
from mobileone.figures.plots import figure_format, require_matplotlib, save_figure
from mobileone.model import Model, create_model, load, reparameterize
from mobileone.train.curriculum import Curriculum
from mobileone.train.digits import digits_bundle, digits_recipe
from mobileone.train.recipe import OPTIMIZERS, Recipe
from mobileone.train.trainer import Trainer
from mobileone.util.checks import height_and_width
from mobileone.util.files import check_writable

__all__ = ["add_options", "run"]

# Options of which one would do nothing beside the other.
_EXCLUSIVE = (
    ("no_augmentation", "auto_augment"),
    ("no_ema", "ema_decay"),
    ("no_ema", "ema_warmup"),
    ("progressive", "size"),
)

# Options that are fields of a recipe, with the type of their argument.
_FIELDS: dict[str, type] = {
    "epochs": int,
    "batch_size": int,
    "accumulation": int,
    "learning_rate": float,
    "final_learning_rate": float,
    "warmup_epochs": float,
    "warmup_learning_rate": float,
    "momentum": float,
    "weight_decay": float,
    "final_weight_decay": float,
    "clip_norm": float,
    "label_smoothing": float,
    "ema_decay": float,
    "seed": int,
}
_FLAGS = ("nesterov", "decay_norms_and_biases", "ema_warmup")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    names = ", ".join(BUILT_IN)
    add("--data", required=True, metavar="FOLDER", help=f"one folder per class inside, or {names}")
    add("--validation", metavar="FOLDER", help="of the same classes; digits bring their own")
    arch = "a variant, or a train-time checkpoint to start from; digits have a small one"
    add("--arch", metavar="NAME|FILE", help=arch)
    add("--out", default="trained.safetensors", metavar="FILE", help="where the model goes")
    add("--checkpoint", metavar="FILE", help="written after every epoch, to go on from")
    add("--resume", action="store_true", help="go on from --checkpoint, if it is there")
    add("--overwrite", action="store_true", help="replace --checkpoint, if it is there")
    recipe = parser.add_argument_group("recipe", "defaults: MobileOne's, section 4")
    add = recipe.add_argument
    add("--optimizer", choices=OPTIMIZERS)
    for name, kind in _FIELDS.items():
        add(f"--{name.replace('_', '-')}", type=kind, metavar="N" if kind is int else "X")
    for name in _FLAGS:
        add(f"--{name.replace('_', '-')}", action=argparse.BooleanOptionalAction)
    add("--frozen", action="append", metavar="PATTERN", help="parameters that stay; repeatable")
    add("--no-ema", action="store_true", help="no averaged weights")
    add("--no-augmentation", action="store_true", help="images as in evaluation")
    add("--auto-augment", action="store_true", help="AutoAugment's ImageNet policy besides")
    add("--progressive", action="store_true", help="sizes and strengths that grow (section 3.4)")
    add("--size", type=int, metavar="N", help="of the images; default: the model's")
    add("--teacher", action="append", default=[], metavar="FILE", help="learn from it; repeatable")
    run = parser.add_argument_group("run")
    run.add_argument("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    run.add_argument("--train-path", default="auto", choices=("auto", "moments", "branches"))
    run.add_argument("--quiet", action="store_true", help="no progress on stderr")
    run.add_argument("--plot", metavar="FILE", help="save a figure of the losses; needs matplotlib")
    run.add_argument("--json", metavar="FILE", help="save the history as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Trains, saves the model, and says how good it is in both forms; the exit code."""
    _check_outputs(arguments)
    model = _model(arguments)
    if arguments.size is not None:
        size = height_and_width("--size", arguments.size, 1)
        model.data_config = replace(model.data_config, input_size=size)
    trainer = Trainer(
        model,
        _recipe(arguments),
        teachers=[reparameterize(load(path)) for path in arguments.teacher],
        checkpoint=arguments.checkpoint,
        resume=arguments.resume,
        overwrite=arguments.overwrite,
        threads=arguments.threads,
        train_path=arguments.train_path,
        progress=not arguments.quiet,
    )
    history = trainer.fit(arguments.data, validation=arguments.validation)
    print(repr(history))
    model.save(arguments.out)
    print("\n" + forms_table({"trained": model, "fused": reparameterize(model)}).to_text())
    print(f"\nsaved: {arguments.out} (train-time form; 'mobileone fuse' makes the fast one)")
    if arguments.json:
        history.to_json(arguments.json)
    if arguments.plot and history.epochs:
        save_figure(history.plot().figure, arguments.plot)
    return 130 if history.interrupted else 0


def _check_outputs(arguments: argparse.Namespace) -> None:
    """What cannot be written is rather said now than after the training."""
    options: dict[str, str] = {}  # by the file that they name
    for name in ("out", "checkpoint", "json", "plot"):
        path = getattr(arguments, name)
        if path is not None:
            check_writable(path)
            other = options.setdefault(os.path.realpath(path), name)
            if other != name:
                raise ValueError(f"--{other} and --{name} are both {path}; expected two files")
    if not arguments.out.lower().endswith(".onnx"):
        kind_of_file(arguments.out)
    if arguments.plot:
        require_matplotlib()
        figure_format(arguments.plot)


def _model(arguments: argparse.Namespace) -> Model:
    digits = arguments.data in BUILT_IN
    seed = arguments.seed or 0
    if arguments.arch is None:
        if not digits:
            raise ValueError("--arch is missing; expected a variant or a checkpoint file")
        return Model.of(digits_bundle(seed))
    classes = 10 if digits else len(FolderSamples(arguments.data).class_names or ())
    if is_variant(arguments.arch):
        return create_model(arguments.arch, num_classes=classes, seed=seed)
    # Of other classes, the weights are kept and the last layer is new: it is about to be trained.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NewClassifierWarning)
        return load(arguments.arch, num_classes=classes, strict=False)


def _recipe(arguments: argparse.Namespace) -> Recipe:
    given = {name: getattr(arguments, name) for name in ("optimizer", "frozen", *_FIELDS, *_FLAGS)}
    changes = {name: value for name, value in given.items() if value is not None}
    for pair in _EXCLUSIVE:
        if all(getattr(arguments, name) not in (None, False) for name in pair):
            one, other = (f"--{name.replace('_', '-')}" for name in pair)
            raise ValueError(f"{one} and {other} are given; expected one of them")
    if arguments.no_ema:
        changes["ema_decay"] = None
    if arguments.no_augmentation:
        changes["augmentation"] = None
    if arguments.progressive:
        changes["curriculum"] = Curriculum.progressive()
    make: Any = digits_recipe if arguments.data in BUILT_IN else Recipe
    recipe: Recipe = make(**changes)
    if arguments.auto_augment:
        augmentation = replace(recipe.augmentation or Augmentation(), auto_augment=True)
        recipe = replace(recipe, augmentation=augmentation)
    return recipe

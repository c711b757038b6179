"""Options of the commands that read a checkpoint: those of `mobileone.load`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import Any

from mobileone.checkpoint.open import is_variant, open_named
from mobileone.model import Model, load

__all__ = ["add_load_options", "load_options", "open_source", "open_sources", "refuse_options"]

_OPTIONS = ("strict", "arch", "num_classes", "weights", "config", "head")


def add_load_options(parser: Any) -> None:
    """Adds them to a command's parser; what is not given is as in `mobileone.load`."""
    group = parser.add_argument_group("how checkpoint files are loaded")
    group.add_argument(
        "--strict",
        action=argparse.BooleanOptionalAction,
        default=argparse.SUPPRESS,
        help="whether every tensor must be the network's; --no-strict loads part of a larger one",
    )
    text = argparse.SUPPRESS
    group.add_argument("--arch", metavar="NAME", default=text, help="the variant that it must be")
    group.add_argument(
        "--num-classes",
        type=int,
        metavar="N",
        default=text,
        help="the number of classes that it must have; 0: no classifier",
    )
    group.add_argument(
        "--weights",
        choices=("auto", "ema", "model"),
        default=text,
        help="averaged or plain weights, where it has both",
    )
    group.add_argument(
        "--config",
        type=_field,
        action="append",
        metavar="KEY=VALUE",
        default=text,
        help="what weights do not show, e.g. heads=8 or patch=4,2; may be repeated",
    )
    group.add_argument("--head", metavar="NAME", default=text, help="the classifier to take")


def load_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """The options that were given, as `mobileone.load` takes them."""
    given = {name: getattr(arguments, name) for name in _OPTIONS if hasattr(arguments, name)}
    if "config" in given:
        given["config"] = dict(given["config"])
    return given


def open_source(source: str, arguments: argparse.Namespace, seed: int = 0) -> Model:
    """The model of a checkpoint file, or of a variant by name with seeded weights.

    Raises:
        ValueError: options of loading for the name of a variant; neither a file nor a name.
    """
    given = load_options(arguments)
    if not given:
        return Model.of(open_named(source, seed))
    if is_variant(source):
        refuse_options(arguments, f"{source} is the name of a variant")
    return load(source, **given)


def refuse_options(arguments: argparse.Namespace, why: str) -> None:
    """ValueError where options of loading were given for what is no checkpoint file."""
    names = ", ".join(f"--{name.replace('_', '-')}" for name in load_options(arguments))
    if names:
        raise ValueError(f"{names}: for checkpoint files; {why}")


def open_sources(sources: Sequence[str], arguments: argparse.Namespace) -> list[Any]:
    """Sources for `benchmark` and `profile`: files are opened here where options say how."""
    return [
        open_source(source, arguments) if load_options(arguments) else source for source in sources
    ]


def _field(text: str) -> tuple[str, Any]:
    """("patch", [4, 2]) of "patch=4,2": a JSON value, several with commas between, or a word."""
    key, equals, value = text.partition("=")
    if not (key and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r}; expected KEY=VALUE")
    return key, _value(value)


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [_value(part) for part in text.split(",")] if "," in text else text

"""Files that a training is continued from: arrays by name, and facts."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint.containers.file import RawCheckpoint, read_file
from mobileone.checkpoint.containers.safetensors_writer import save_safetensors
from mobileone.util.errors import CheckpointError, Mismatch, listed

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["describe_state", "read_state", "remove_partial", "write_state"]

_FORMAT = "mobileone.training"
_VERSION = 1


def write_state(
    path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[Any]], facts: Mapping[str, Any]
) -> None:
    """A .safetensors file of the arrays with the facts as JSON; the old file stays until then."""
    metadata = {"format": _FORMAT, "version": str(_VERSION), "state": json.dumps(facts)}
    save_safetensors(path, arrays, metadata)


def read_state(
    path: str | os.PathLike[str],
    expected: Mapping[str, npt.NDArray[Any]],
    recipe: str,
    told: Mapping[str, str],
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays and facts of a file.

    Args:
        path: of `write_state`.
        expected: arrays of the names, shapes and dtypes that there must be.
        recipe: JSON, which the facts must have as "recipe".
        told: JSON by name, which the facts must have, too, if they have that name: what tensors do
            not show, as activations, the normalisation of images, and teachers.

    Raises:
        CheckpointError: damaged, no file of a training, or of another network or recipe.
        FileNotFoundError: there is no such file.
    """
    where = os.fsdecode(path)
    raw = read_file(path)
    if not _is_state(raw):
        found = raw.metadata.get("format", raw.format)
        raise CheckpointError(
            f"{where}: found {found}; expected a training's checkpoint of version {_VERSION}, "
            "written by mobileone.Trainer"
        )
    try:
        facts: dict[str, Any] = json.loads(raw.metadata["state"])
        _check_same(where, facts["recipe"], recipe, "the recipe", "recipe")
    except (KeyError, ValueError, TypeError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(f"{where}: damaged state in its metadata: {error}") from error
    tree: Any = raw.tree
    mismatches = [
        Mismatch(
            name,
            tree[name].shape if name in tree else None,
            expected[name].shape if name in expected else None,
        )
        for name in {**expected, **tree}
        if name not in tree or name not in expected or tree[name].shape != expected[name].shape
    ]
    if mismatches:
        raise CheckpointError(f"{where}: is of another network or recipe: {listed(mismatches)}")
    for name, own in told.items():
        if name in facts:  # not in files of 0.1.0
            whose = "the trainer" if name == "teachers" else f"the model's {name}"
            _check_same(where, facts[name], own, whose, name)
    return {name: tensor.array(f"{where}: {name}") for name, tensor in tree.items()}, facts


def describe_state(path: str | os.PathLike[str]) -> str:
    """What a file is, in words: how far a training is, or that it is none."""
    try:
        raw = read_file(path)
        if _is_state(raw):
            facts = json.loads(raw.metadata["state"])
            return f"a training after {len(facts['history'])} epochs, {facts['updates']} updates"
    except (OSError, ValueError, KeyError, TypeError):
        pass  # damaged, or nothing that is read here
    return "a file that is no training's"


def _is_state(raw: RawCheckpoint) -> bool:
    told = raw.metadata
    return told.get("format") == _FORMAT and told.get("version") == str(_VERSION)


def remove_partial(path: str | os.PathLike[str]) -> None:
    """Removes what processes that were killed while they wrote `path` have left."""
    target = Path(os.fsdecode(path))
    for left in target.parent.glob(f"{target.name}.????????.partial"):
        with suppress(OSError):
            left.unlink()


def _check_same(where: str, found: Any, expected: str, whose: str, what: str) -> None:
    """CheckpointError naming the first field that differs between two JSON objects."""
    try:
        theirs = dict(json.loads(found))
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{where}: damaged {what} in its metadata: {error}") from error
    ours = json.loads(expected)
    for key in {**ours, **theirs}:
        if ours.get(key) != theirs.get(key):
            raise CheckpointError(
                f"{where}: was trained with {key} {theirs.get(key)!r}; {whose} has "
                f"{ours.get(key)!r}. A training is continued with its own {what}"
            )

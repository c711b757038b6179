"""Files that say what pictures show, in the forms that ImageNet's validation labels come in."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from typing import Any

from mobileone.data.datasets.shards import Label
from mobileone.tasks.classification.synsets import is_synset
from mobileone.util.errors import shown

__all__ = ["find_label_file", "numbered_name", "read_labels"]

# Where they are looked for, in the folder and beside it.
_NAMES = ("val.txt", "LOC_val_solution.csv", "imagenet_2012_validation_synset_labels.txt")
_DEVKIT = (
    "the numbers 1 to 1000 of ILSVRC's development kit, which are in another order than every "
    "network's logits; expected lines 'NAME INDEX' (val.txt), synsets, or indices from 0"
)


def find_label_file(folder: str) -> str | None:
    """ImageNet's label file in or beside a folder of pictures, if there is one."""
    for where in (folder, os.path.dirname(os.path.abspath(folder))):
        for name in _NAMES:
            path = os.path.join(where, name)
            if os.path.isfile(path):
                return path
    return None


def numbered_name(number: int) -> str:
    """The name of a picture of ImageNet's validation set, from 1, without the suffix."""
    return f"ILSVRC2012_val_{number:08d}"


def read_labels(source: Any) -> dict[str, Label]:
    """Labels by the names of pictures' files, or by these without the suffix.

    Args:
        source: a mapping; or a file: lines of a name and an index or synset; Kaggle's
            LOC_val_solution.csv; a line per picture of ImageNet's validation set, in the order of
            their numbers, with an index from 0 or a synset; or JSON, an object of names, or a list
            per picture of all classes that are right (ReaL's real.json).

    Raises:
        ValueError: none of these.
        OSError: cannot be read.
    """
    if isinstance(source, Mapping):
        return {str(name): _label(value, str(name)) for name, value in source.items()}
    path = os.fsdecode(source)
    with open(path, encoding="utf-8") as file:
        try:
            text = file.read()
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: expected a text file of labels; {error}") from error
    try:
        if path.lower().endswith(".json"):
            return _from_json(json.loads(text))
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        if lines and lines[0].lower().startswith("imageid,"):
            return _from_kaggle(lines)
        return _from_lines(lines)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: {error}") from error


def _from_json(value: Any) -> dict[str, Label]:
    if isinstance(value, dict):
        return {name: _label(label, name) for name, label in value.items()}
    if isinstance(value, list):
        return {
            numbered_name(i): _label(tuple(x) if isinstance(x, list) else x, f"entry {i}")
            for i, x in enumerate(value, 1)
        }
    raise ValueError(f"found a {type(value).__name__}; expected an object or a list")


def _label(value: Any, where: str) -> Label:
    several = value if isinstance(value, tuple | list) else [value]
    if all(isinstance(one, int) and not isinstance(one, bool) for one in several):
        return tuple(several) if isinstance(value, tuple | list) else int(value)
    if isinstance(value, str):
        return value
    raise ValueError(f"{shown(where)} has the label {value!r:.60}; expected an index or a name")


def _from_kaggle(lines: Iterable[str]) -> dict[str, Label]:
    """ImageId,PredictionString: the synset of each box, followed by its corners."""
    rows = list(csv.reader(lines))[1:]
    return {row[0]: row[1].split()[0] for row in rows if len(row) == 2 and row[1].split()}


def _from_lines(lines: list[str]) -> dict[str, Label]:
    if not lines:
        raise ValueError("is empty; expected a line per picture")
    parts = [line.replace(",", " ").split() for line in lines]
    if all(len(part) == 1 for part in parts):
        return _numbered([part[0] for part in parts])
    found: dict[str, Label] = {}
    for number, part in enumerate(parts, 1):
        if len(part) != 2 or not _is_label(part[1]):
            raise ValueError(
                f"line {number} is {shown(lines[number - 1])!r}; expected a picture's name and a "
                "class index or synset"
            )
        found[os.path.basename(part[0])] = int(part[1]) if part[1].isdigit() else part[1]
    return found


def _is_label(text: str) -> bool:
    return text.isdigit() or is_synset(text)


def _numbered(labels: list[str]) -> dict[str, Label]:
    if not all(map(_is_label, labels)):
        raise ValueError("found single words in every line; expected class indices or synsets")
    values: list[Label] = [int(text) if text.isdigit() else text for text in labels]
    numbers = [value for value in values if isinstance(value, int)]
    if numbers and min(numbers) == 1 and max(numbers) == 1000:
        raise ValueError(f"has {_DEVKIT}")
    return {numbered_name(i): value for i, value in enumerate(values, 1)}

"""Data sets of ImageNet's classes, with what goes wrong in each built in."""

from __future__ import annotations

import importlib.util
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from mobileone.data.config import DataConfig
from mobileone.data.datasets.picture_folder import PictureFolder
from mobileone.data.datasets.shards import PictureSet
from mobileone.evaluation.label_files import read_labels
from mobileone.evaluation.open_data import open_data
from mobileone.tasks.classification.synsets import imagenet_synsets
from mobileone.util.errors import listed

__all__ = ["PRESETS", "Preset", "find_preset"]

Opened = tuple[PictureSet, tuple[str, ...]]


@dataclass(frozen=True)
class Preset:
    """A published data set.

    Attributes:
        name: as `mobileone.evaluate` takes it.
        pictures: that the whole set has.
        open: the pictures of (data, labels), and what there is to say of them.
        columns: the classes that count; None: all 1000.
        corrupted: whether pictures are 224 x 224 and taken as they are, by corruption and severity.
    """

    name: str
    pictures: int
    open: Callable[[Any, Any], Opened]
    columns: tuple[int, ...] | None = None
    corrupted: bool = False

    def config(self, own: DataConfig) -> DataConfig:
        """What pictures are resized and cropped to, for a network with that data config."""
        return replace(own, input_size=(224, 224), crop_pct=1.0) if self.corrupted else own

    def check(self, pictures: PictureSet) -> tuple[str, ...]:
        """ValueError for folders of other classes; what to note of what is missing."""
        notes = []
        synsets = imagenet_synsets()
        if self.columns is not None and pictures.class_names is not None:
            own = {synsets[index] for index in self.columns}
            strange = [name for name in pictures.class_names if name not in own]
            if strange:
                raise ValueError(
                    f"{pictures.name}: {len(strange)} of its {len(pictures.class_names)} classes "
                    f"are none of the {len(own)} of {self.name}, such as {listed(strange)}; is it "
                    "another data set?"
                )
        if pictures.count is not None and pictures.count != self.pictures:
            notes.append(f"{pictures.count} pictures; all of {self.name} has {self.pictures}")
        return tuple(notes)


def find_preset(name: str | None) -> Preset | None:
    """The preset of that name; ValueError for another name."""
    if name is None:
        return None
    if name not in PRESETS:
        raise ValueError(f"preset is {name!r}; expected one of {', '.join(PRESETS)}")
    return PRESETS[name]


def _open_real(data: Any, labels: Any) -> Opened:
    """ReaL (Beyer et al. 2020): all right classes of each picture; none for 3163 of them."""
    source = labels if labels is not None else _timm_file("imagenet_real_labels.json")
    if source is None:
        raise ValueError(
            "labels is None; expected ReaL's real.json (github.com/google-research/"
            "reassessed-imagenet), which timm, if it is installed, brings along"
        )
    folder = PictureFolder(data, read_labels(source))
    return folder, (f"ReaL's labels from {os.fsdecode(source)}",)


def _open_corrupted(data: Any, labels: Any) -> Opened:
    if labels is not None:
        raise ValueError("labels are given; expected none: folders of imagenet-c say them")
    return PictureFolder(data, innermost=True), ()


def _timm_file(name: str) -> str | None:
    """A file that timm brings along; timm is not imported."""
    spec = importlib.util.find_spec("timm")
    if spec is None or spec.origin is None:
        return None
    path = os.path.join(os.path.dirname(spec.origin), "data", "_info", name)
    return path if os.path.isfile(path) else None


@cache
def _subset(name: str) -> tuple[int, ...]:
    path = Path(__file__).with_name("imagenet_subsets.json")
    return tuple(json.loads(path.read_text(encoding="ascii"))[name])


def _presets() -> dict[str, Preset]:
    plain = {"1k": 50_000, "v2": 10_000, "sketch": 50_889}
    found = [Preset(f"imagenet-{name}", count, open_data) for name, count in plain.items()]
    found.append(Preset("imagenet-real", 50_000, _open_real))
    for name, count in (("imagenet-a", 7_500), ("imagenet-r", 30_000)):
        found.append(Preset(name, count, open_data, _subset(name)))
    found.append(Preset("imagenet-c", 75 * 50_000, _open_corrupted, corrupted=True))
    return {preset.name: preset for preset in found}


PRESETS = _presets()

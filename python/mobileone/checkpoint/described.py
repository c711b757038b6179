"""config.json beside weights, as timm and transformers write it: what the weights do not show."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mobileone.families.family import ACTIVATIONS, TRAIN_TIME
from mobileone.util.errors import CheckpointError, shown_value

if TYPE_CHECKING:
    from mobileone.families.family import Family

__all__ = ["Description", "describe_file", "parse_description"]

# What hubs call weights; a config.json beside a file of another name may be of another network.
_WEIGHTS = ("model", "pytorch_model")
_MAX_BYTES = 16 << 20
_MAX_CLASSES = 1 << 20
_SPELLED = {"swish": "silu", "hardswish": "hard_swish", "hard_swish": "hard_swish"}


@dataclass(frozen=True)
class Description:
    """What a config.json says.

    Attributes:
        source: the file, for messages.
        values: the JSON object.
        pretrained_cfg: timm's description of how the weights were trained; None without one.
        class_names: of its classes, in their order; None where it has none.
        problem: why it says nothing; "" if it does.
    """

    source: str
    values: Mapping[str, Any] = field(default_factory=dict)
    pretrained_cfg: Mapping[str, Any] | None = None
    class_names: tuple[str, ...] | None = None
    problem: str = ""

    def fields(self, family: Family, layout: str) -> dict[str, Any]:
        """The fields of a configuration that it tells, among those that weights do not show.

        Raises:
            CheckpointError: a value that a field cannot have.
            NotImplementedError: another function than networks of the family compute.
        """
        known = (family.name, *family.described_as)
        if self.values.get("model_type") in known and layout == "transformers":
            return self._checked(family, self._transformers())
        return self._checked(family, self._timm()) if layout == "timm" else {}

    @property
    def image_size(self) -> tuple[int, int] | None:
        """(height, width) that transformers' networks are for."""
        size = self.values.get("image_size")
        sides: Any = [size, size] if type(size) is int else size
        whole = isinstance(sides, list) and len(sides) == 2
        if not whole or not all(type(n) is int and 0 < n <= 1 << 14 for n in sides):
            return None
        return sides[0], sides[1]

    def _transformers(self) -> dict[str, Any]:
        told = self.values
        size = told.get("patch_size")
        found = {
            "heads": told.get("num_attention_heads"),
            "patch": [size, size] if type(size) is int else size,
            "activation": self._activation("hidden_act", told.get("hidden_act")),
            "layer_norm_eps": told.get("layer_norm_eps"),
            "output_stride": told.get("output_stride"),
            "dropout": told.get("hidden_dropout_prob"),
            "classifier_dropout": told.get("classifier_dropout_prob"),
            "aspp_dilations": told.get("atrous_rates"),
        }
        return {key: value for key, value in found.items() if value is not None}

    def _timm(self) -> dict[str, Any]:
        arguments = self.values.get("model_args") or {}
        if not isinstance(arguments, dict):
            raise CheckpointError(
                f"{self.source}: model_args is {shown_value(arguments)}; expected an object"
            )
        for where in (self.values, arguments):
            pool = where.get("global_pool")
            if pool not in (None, "", "avg"):
                raise NotImplementedError(
                    f"{self.source}: global_pool is {shown_value(pool)}; expected 'avg'"
                )
        found = {
            "activation": self._activation("act_layer", arguments.get("act_layer")),
            "output_stride": arguments.get("output_stride"),
        }
        return {key: value for key, value in found.items() if value is not None}

    def _activation(self, name: str, value: Any) -> Any:
        if value is None:
            return None
        known = _SPELLED.get(value, value) if isinstance(value, str) else value
        if known not in ACTIVATIONS:
            raise NotImplementedError(
                f"{self.source}: {name} is {shown_value(value)}; expected one of {ACTIVATIONS}"
            )
        return known

    def _checked(self, family: Family, found: dict[str, Any]) -> dict[str, Any]:
        kinds = {f.name: f.kind for f in (*family.fields, *family.settings)}
        kinds |= {name: field.kind for name, field in family.unseen(TRAIN_TIME).items()}
        checked = {}
        for name, value in found.items():
            if name in kinds:
                value = float(value) if name.endswith("eps") and type(value) is int else value
                if not kinds[name].allows(value):
                    raise CheckpointError(
                        f"{self.source}: {name} {shown_value(value)}; "
                        f"expected {kinds[name].expected}"
                    )
                checked[name] = value
            elif name == "output_stride":
                if type(value) is not int:
                    raise CheckpointError(
                        f"{self.source}: output_stride {shown_value(value)}; expected an integer"
                    )
                checked[name] = value
        return checked

    def names_for(self, num_classes: int) -> tuple[str, ...] | None:
        """The names of the classes, if there are as many as that."""
        named = self.class_names
        return named if named is not None and len(named) == num_classes else None


def describe_file(path: str | os.PathLike[str]) -> Description | None:
    """What the config.json beside a file, or in a folder, says of it; None where none does.

    Raises:
        CheckpointError: a damaged one.
    """
    place = os.fsdecode(path)
    is_folder = os.path.isdir(place)
    config = os.path.join(place if is_folder else os.path.dirname(place), "config.json")
    try:
        if not os.path.isfile(config) or config == place:
            return None
        size = os.path.getsize(config)
        if size > _MAX_BYTES:
            raise CheckpointError(f"{config}: {size} bytes; expected a config.json")
        with open(config, "rb") as file:
            data = file.read()
    except OSError:
        return None  # the weights are what was asked for
    named = os.path.basename(place).partition(".")[0].partition("-")[0]
    if is_folder or named in _WEIGHTS:
        return parse_description(data, config)
    return None


def parse_description(data: bytes, source: str) -> Description:
    """The description in a config.json; one that says nothing but why where it is no JSON object.

    Raises:
        CheckpointError: one whose names of classes are no list of strings.
    """
    try:
        # As text, or json would look for UTF-16 and UTF-32; the standard has UTF-8 alone.
        values = json.loads(data.removeprefix(b"\xef\xbb\xbf").decode())
    except (ValueError, RecursionError):
        return Description(source, problem=f"{source}: no JSON; not used")
    if not isinstance(values, dict):
        found = type(values).__name__
        return Description(source, problem=f"{source}: a {found}, not a JSON object; not used")
    pretrained = values.get("pretrained_cfg")
    pretrained = pretrained if isinstance(pretrained, dict) else None
    return Description(source, values, pretrained, _class_names(values, pretrained or {}, source))


def _class_names(
    values: Mapping[str, Any], pretrained: Mapping[str, Any], source: str
) -> tuple[str, ...] | None:
    numbered = values.get("id2label")
    if numbered is not None:
        if not isinstance(numbered, dict) or len(numbered) > _MAX_CLASSES:
            raise CheckpointError(
                f"{source}: id2label is {shown_value(numbered)}; expected names by number"
            )
        listed: Any = [numbered.get(str(i)) for i in range(len(numbered))]
        where = "id2label"
    else:
        where = "label_names"
        listed = values.get(where, pretrained.get(where))
    if listed is None:
        return None
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise CheckpointError(
            f"{source}: {where} is {shown_value(listed)}; expected a string for each class"
        )
    return tuple(listed)

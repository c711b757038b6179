"""Head: what the records of segmenters and detectors share.

A configuration of one holds its backbone's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from mobileone.families import all_families, family_of
from mobileone.families.family import INFERENCE, TRAIN_TIME, Family, Field, Kind
from mobileone.families.variants import CUSTOM, variant_of, variants
from mobileone.tasks.detection.codes import CVNETS

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.families.geometry import Convolution
    from mobileone.tasks.detection.codes import BoxCode
    from mobileone.util.errors import Shape

__all__ = ["PREFIX", "BackboneField", "Head", "backbone_name", "backbone_of", "box_code"]

T = TypeVar("T")

# What canonical names of a backbone's weights begin with inside of a network.
PREFIX = "encoder."
# Fields of a backbone's configuration that the whole network's says.
_SHARED = ("form", "in_channels", "num_classes")


def box_code(bundle: Any) -> BoxCode:
    """How the maps of a detector, a `network.bundle.Bundle`, are boxes."""
    code: BoxCode = bundle.family.box_code
    return code


def backbone_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The complete configuration of a network's backbone, without a classifier."""
    shared = {"form": config["form"], "in_channels": config["in_channels"], "num_classes": 0}
    return {**config["backbone"], **shared}


def backbone_name(config: Mapping[str, Any]) -> str:
    """The published variant that a backbone is, or what its family calls a custom one."""
    full = {**config, "num_classes": 0, "in_channels": 3}
    found = variant_of(full)
    return family_of(config).custom if found == CUSTOM else found


def _is_backbone(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    full = {"form": TRAIN_TIME, "in_channels": 3, "num_classes": 0, **value}
    try:
        return family_of(full).is_config(full)
    except (TypeError, ValueError):
        return False


class BackboneField(Field):
    """The configuration of the backbone."""

    __slots__ = ()

    def agrees(self, value: Any, variant: Any) -> bool:
        """Whether both are the same published variant, with whatever classifier."""
        return bool(backbone_name(value) == backbone_name(variant))


BACKBONE = Kind(_is_backbone, "the configuration of a backbone")


class Head(Family):
    """A head on any backbone.

    Attributes:
        box_code: of a detector: how its maps are boxes.
    """

    box_code: BoxCode = CVNETS
    options = ("architecture", "output_stride")
    min_size = 32

    @property
    def stem(self) -> tuple[str, ...]:  # type: ignore[override]
        """Of every backbone."""
        return tuple(PREFIX + name for family in all_families() for name in family.stem)

    def head_graph(self, backbone: Graph, config: Mapping[str, Any]) -> Graph:
        """The graph of a complete configuration, on its backbone's."""
        raise NotImplementedError

    def recover_head(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        """The fields of the head that names and shapes show."""
        raise NotImplementedError

    def graph(self, config: Mapping[str, Any]) -> Graph:
        backbone = backbone_of(config)
        return self.head_graph(family_of(backbone).graph(backbone), config)

    def head_fields(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """The head's own fields of a complete configuration, as its graph takes them."""
        fields = self.given(config)
        del fields["backbone"], fields["in_channels"]
        (eps,) = (setting.default for setting in self.settings if setting.name == "head_eps")
        fields["eps"] = fields.pop("head_eps", eps)
        return {**fields, "inference": config["form"] == INFERENCE}

    def variants(self) -> dict[str, dict[str, Any]]:
        """With every published backbone."""
        return {
            f"{self.name}_{name}": {
                **self.published(),
                "backbone": family.mark | family.defaults() | {**structure},
            }
            for family in all_families()
            for name, structure in variants(family.name).items()
        }

    def published(self) -> dict[str, Any]:
        """The head's fields that published networks have."""
        return {f.name: f.default for f in self.structure() if f.name != "backbone"}

    def complete(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        own = {"form", "in_channels", "num_classes", *(f.name for f in self.fields)}
        own |= {setting.name for setting in self.settings}
        config: dict[str, Any] = self.mark | self.defaults()
        config |= {key: value for key, value in changes.items() if key in own}
        given = {key: value for key, value in changes.items() if key not in own}
        shared = {"form": TRAIN_TIME, "in_channels": config["in_channels"], "num_classes": 0}
        family, backbone = _named_backbone(name)
        full = family.complete(backbone, shared | given)
        # Parts after the last map are left out, whatever the classifier has.
        full |= {field.name: field.absent for field in family.fields if field.absent is not None}
        config["backbone"] = _own_fields(full)
        for field in (*self.fields, *self.settings):
            if field.name in config and isinstance(config[field.name], tuple):
                config[field.name] = list(config[field.name])
            if field.name in config and not field.kind.allows(config[field.name]):
                raise ValueError(
                    f"{field.name} is {config[field.name]!r}; expected {field.kind.expected}"
                )
        return self.short(config)

    def strides(self, config: Mapping[str, Any]) -> list[int]:
        backbone = backbone_of(config)
        return family_of(backbone).strides(backbone)

    def output_stride(self, config: Mapping[str, Any]) -> int:
        backbone = backbone_of(config)
        return family_of(backbone).output_stride(backbone)

    def with_output_stride(
        self, config: Mapping[str, Any], output_stride: int, layout: str = ""
    ) -> dict[str, Any]:
        """That of the backbone."""
        full = backbone_of(config)
        family = family_of(full)
        full = family.short(family.with_output_stride(full, output_stride))
        return {**config, "backbone": _own_fields(full)}

    def updated(self, config: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        own = {field.name for field in (*self.fields, *self.settings)}
        inner = {key: value for key, value in fields.items() if key not in own}
        outer = {key: value for key, value in fields.items() if key in own}
        backbone = {**config["backbone"], **inner}
        backbone = family_of(backbone).short(backbone) if inner else config["backbone"]
        return {**config, **outer, "backbone": backbone}

    def unseen(self, form: str) -> dict[str, Field]:
        """The head's, and its backbone's of any family."""
        found: dict[str, Field] = {}
        for family in all_families():
            found |= family.unseen(form)
        return found | super().unseen(form)

    def assumed(self, config: Mapping[str, Any]) -> dict[str, Any]:
        backbone = backbone_of(config)
        found = family_of(backbone).assumed(backbone)
        own = super().unseen(config["form"])
        skipped = {"head_eps"} if config["form"] == INFERENCE else set()
        return found | {name: self.value(config, name) for name in own if name not in skipped}

    def geometry(self, convolutions: Mapping[str, Convolution]) -> dict[str, Any]:
        inner = _inside(convolutions)
        return _family_in(inner).geometry(inner)

    def num_features(self, config: Mapping[str, Any]) -> int:
        return int(config["backbone"]["widths"][-1])

    def recover(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        inner = _inside(shapes)
        family = _family_in(inner)
        found = family.recover(inner, source)
        backbone = family.mark | {f.name: found.get(f.name, f.unseen) for f in family.fields}
        known = tuple(f.name for f in family.structure() if f.name in found)
        variant = variant_of({**backbone, "form": found["form"]}, known)
        if variant != CUSTOM:
            published = family.variants()[variant]
            backbone |= {key: value for key, value in published.items() if key not in found}
        shared = {"form": found["form"], "in_channels": backbone.get("in_channels", 3)}
        own = {"backbone": _own_fields(backbone)}
        return shared | own | self.recover_head(shapes, source)

    def half_fused(self, shapes: Mapping[str, Shape]) -> str:
        inner = _inside(shapes)
        family = _family_in(inner)
        problem = family.half_fused(inner)
        if problem:
            return problem
        norms = (".norm.weight", ".bn.weight")
        unfused = any(n.endswith(norms) for n in shapes if not n.startswith(PREFIX))
        form = TRAIN_TIME if unfused else INFERENCE
        backbone = family.recover(inner, "")["form"]
        if form == backbone:
            return ""
        return f"it is half fused: its backbone is in {backbone} form, its head in {form} form"


def _named_backbone(name: str) -> tuple[Family, str]:
    """The family of a variant's name, or of what a family calls a custom network."""
    for family in all_families():
        if name == family.custom or name in variants(family.name):
            return family, name
    known = ", ".join(name for family in all_families() for name in variants(family.name))
    raise ValueError(f"backbone is {name!r}; expected one of {known}")


def _own_fields(backbone: Mapping[str, Any]) -> dict[str, Any]:
    """What a network's configuration holds of its backbone's."""
    return {key: value for key, value in backbone.items() if key not in _SHARED}


def _inside(named: Mapping[str, T]) -> dict[str, T]:
    """What belongs to the backbone, by its own canonical names."""
    return {n[len(PREFIX) :]: value for n, value in named.items() if n.startswith(PREFIX)}


def _family_in(names: Mapping[str, Any]) -> Family:
    """The family that most of these canonical names are of."""

    def count(family: Family) -> int:
        return len(family.layouts()[0].canonical_names(names))

    families = all_families()
    likely = [f for f in families if any(stem in names for stem in f.stem)]
    return max(likely or families, key=count) if len(likely) != 1 else likely[0]

"""Family: everything that is known of one family of networks, and of no other; and its fields."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mobileone._core import Graph
    from mobileone.data.config import DataConfig
    from mobileone.families.geometry import Convolution
    from mobileone.families.naming.table import Layout
    from mobileone.util.errors import Shape

INFERENCE, TRAIN_TIME = "inference", "train-time"

# More than any network has: a file with one stray key must not describe an endless one.
MAX_STAGES, MAX_BLOCKS = 16, 256
# Of a height, a width, a number of channels, ...: far above any network, far below overflow.
_MAX_SIZE = 1 << 14
_MAX_CLASSES = 1 << 20
# Larger ones fit no network, and ask for any amount of memory.
_MAX_COUNT = 1024


class Kind:
    """Values that a field may have: `allows` tells them, `expected` says them in words."""

    __slots__ = ("allows", "expected")

    def __init__(self, allows: Callable[[Any], bool], expected: str) -> None:
        self.allows = allows
        self.expected = expected


class Field:
    """One field of a family's configurations.

    Attributes:
        name: as in configurations and in `create_model`.
        kind: what values it may have.
        free: whether a published variant has it in any value.
        default: what `create_model` takes unless told; None where it must be told, or a variant
            tells it.
        untold: the forms whose weights do not show it.
        unseen: its value where nothing shows or tells it.
        absent: its value where a network leaves that part out, as those of any variant may.
        attributes: what modules of other implementations call it; names of two attributes stand
            for height and width.
    """

    __slots__ = ("absent", "attributes", "default", "free", "kind", "name", "unseen", "untold")

    def __init__(
        self,
        name: str,
        kind: Kind,
        *,
        free: bool = False,
        default: Any = None,
        untold: tuple[str, ...] = (),
        unseen: Any = None,
        absent: Any = None,
        attributes: tuple[tuple[str, ...], ...] = (),
    ) -> None:
        self.name = name
        self.kind = kind
        self.free = free
        self.default = default
        self.untold = untold
        self.unseen = default if unseen is None else unseen
        self.absent = absent
        self.attributes = attributes

    def agrees(self, value: Any, variant: Any) -> bool:
        """Whether a network with this value may be that variant."""
        return bool(value == variant or (self.absent is not None and value == self.absent))


def copied(value: Any) -> Any:
    """A value of a field, not shared with anyone who may change it."""
    return value.copy() if isinstance(value, list | dict) else value


def _is_size(value: object, least: int = 1, most: int = _MAX_SIZE) -> bool:
    return type(value) is int and least <= value <= most


def _are_sizes(value: object, least: int) -> bool:
    return isinstance(value, list | tuple) and all(_is_size(n, least) for n in value)


def _are_named_sizes(value: object) -> bool:
    return isinstance(value, dict) and all(map(_is_size, value.values()))


def _is_count(value: object) -> bool:
    return _is_size(value, most=_MAX_COUNT)


def _is_pair(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))


def _is_factor(value: object) -> bool:
    return type(value) in (int, float) and bool(0 < value <= _MAX_COUNT)  # type: ignore[operator]


def _is_share(value: object) -> bool:
    return type(value) in (int, float) and bool(0 <= value < 1)  # type: ignore[operator]


def _is_eps(value: object) -> bool:
    return type(value) is float and bool(0 < value < 1)


SIZE = Kind(_is_size, f"an integer from 1 to {_MAX_SIZE}")
SIZE_OR_NONE = Kind(lambda v: _is_size(v, 0), f"an integer from 1 to {_MAX_SIZE}, or 0 for none")
SIZES = Kind(lambda value: _are_sizes(value, 1), "a list of sizes")
SIZES_OR_NONE = Kind(lambda value: _are_sizes(value, 0), "a list of sizes, 0 for none")
NAMED_SIZES = Kind(_are_named_sizes, "sizes by name")
CLASSES = Kind(lambda value: _is_size(value, 0, _MAX_CLASSES), "a number of classes")
COUNT = Kind(_is_count, f"an integer from 1 to {_MAX_COUNT}")
PAIR = Kind(_is_pair, f"two integers from 1 to {_MAX_COUNT}: height and width")
FACTOR = Kind(_is_factor, "a positive number")
SHARE = Kind(_is_share, "a number from 0, below 1")
FLAG = Kind(lambda value: isinstance(value, bool), "a bool")
EPS = Kind(_is_eps, "a number above 0, below 1")
STRIDES = Kind(
    lambda value: isinstance(value, list | tuple) and all(_is_size(n, most=16) for n in value),
    "a list of strides, one per stage",
)
ACTIVATIONS = ("relu", "relu6", "silu", "gelu", "hard_swish", "leaky_relu")
ACTIVATION = Kind(
    lambda value: isinstance(value, str) and value in ACTIVATIONS,
    f"one of {', '.join(ACTIVATIONS)}",
)
TEXT = Kind(lambda value: isinstance(value, str), "a string")


class Family:
    """One record per family; subclasses fill it in. What costs time is imported when asked for.

    Attributes:
        name: of the architecture, in configurations and messages.
        title: as its authors write it.
        custom: what `create_model` calls a network that is no published variant; "" where it makes
            none of this family.
        fields: of a complete configuration, beside "form" and "architecture".
        settings: fields that it has only where they are not as published (`default`). No weights
            show them, and none depend on them.
        options: what `create_model` takes besides, and turns into fields.
        is_default: whether configurations without "architecture" mean this family.
        min_size: the smallest height and width of an image.
        stem: canonical names of the convolutions that see the image, in either form.
        classifier: what the names of the last layer's weights start with.
        task: what its outputs are: "classification", "segmentation", "detection", or "other".
        dropped: what keys of parts that only training uses begin with.
        described_as: other names that a config.json of transformers may give it.
    """

    name: str
    task: str = "classification"
    dropped: tuple[str, ...] = ()
    described_as: tuple[str, ...] = ()
    title: str
    custom: str = ""
    fields: tuple[Field, ...]
    settings: tuple[Field, ...] = ()
    options: tuple[str, ...] = ()
    is_default: bool = False
    min_size: int = 1
    stem: tuple[str, ...] = ()
    classifier: str = ""

    @property
    def mark(self) -> dict[str, Any]:
        """What a configuration of this family says besides its fields."""
        return {} if self.is_default else {"architecture": self.name}

    def task_of(self, config: Mapping[str, Any]) -> str:
        """`task`, where the configuration does not say another."""
        return self.task

    def of(self, config: Mapping[str, Any]) -> Family:
        """What is known of this configuration's network, which may be more."""
        return self

    def graph(self, config: Mapping[str, Any]) -> Graph:
        """The graph of a complete configuration."""
        raise NotImplementedError

    def with_graph(self, config: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
        """The configuration of the same network after a rewrite of its graph."""
        return dict(config)

    def given(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """All fields of a complete configuration, and the settings that it has.

        Raises:
            ValueError: a setting with a value that its kind does not allow.
        """
        found = {field.name: config[field.name] for field in self.fields}
        for setting in self.settings:
            if setting.name in config:
                value = found[setting.name] = config[setting.name]
                if not setting.kind.allows(value):
                    raise ValueError(
                        f"{setting.name} is {value!r}; expected {setting.kind.expected}"
                    )
        return found

    def value(self, config: Mapping[str, Any], name: str) -> Any:
        """A field or setting, also where the configuration leaves it out."""
        if name in config:
            return config[name]
        return next(copied(setting.default) for setting in self.settings if setting.name == name)

    def short(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """A configuration without the settings that are as published."""
        settings = {setting.name: setting.default for setting in self.settings}
        return {
            key: list(value) if isinstance(value, tuple) and key in settings else value
            for key, value in config.items()
            if key not in settings or not self._is_default(key, value, settings[key])
        }

    def _is_default(self, name: str, value: Any, default: Any) -> bool:
        return bool(value == default)

    def updated(self, config: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration with other values of fields that weights do not show."""
        return {**config, **fields}

    def assumed(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """What weights of this form do not show of the network's function, with its values."""
        fields = self.unseen(config["form"])
        skipped = {"expansion", "num_conv_branches", "strides", "dilations"}
        if config["form"] == INFERENCE:
            skipped.add("eps")  # folded into the convolutions
        found = {
            name: self.value(config, name)
            for name, field in fields.items()
            if name not in skipped and field.kind is not SHARE
        }
        return found | {"output_stride": self.output_stride(config)}

    def strides(self, config: Mapping[str, Any]) -> list[int]:
        """Of each stage: the configuration's, or as published."""
        raise NotImplementedError

    def output_stride(self, config: Mapping[str, Any]) -> int:
        """From the image to the last map."""
        return math.prod(self.strides(config), start=int(self.value(config, "stem_stride")))

    def with_output_stride(
        self, config: Mapping[str, Any], output_stride: int, layout: str = ""
    ) -> dict[str, Any]:
        """The configuration whose strides beyond that are dilations instead, its weights the same.

        Args:
            config: a complete one.
            output_stride: from the image to the last map.
            layout: whose programs' way of dilating; "" for the usual one.

        Raises:
            ValueError: an output stride that no stage has.
        """
        raise NotImplementedError

    def geometry(self, convolutions: Mapping[str, Convolution]) -> dict[str, Any]:
        """The fields that strides and dilations show, by canonical names of the convolutions."""
        return {}

    def variants(self) -> dict[str, dict[str, Any]]:
        """Name -> fields of the published variants, in the order of the paper."""
        return {}

    def complete(self, name: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """The configuration that `create_model(name, **changes)` means.

        Raises:
            ValueError: a field that is missing, or has a value that makes no network.
        """
        raise NotImplementedError

    def settled(self, config: dict[str, Any]) -> dict[str, Any]:
        """A configuration with strides and dilations in the place of an output stride, `short`."""
        output_stride = config.pop("output_stride", None)
        if output_stride is not None:
            config = self.with_output_stride(config, output_stride)
        return self.short(config)

    def num_features(self, config: Mapping[str, Any]) -> int:
        """Channels of the pooled map: what the classifier reads, and the result without one."""
        raise NotImplementedError

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        """What the published weights of a variant expect; files hardly ever say it themselves."""
        raise NotImplementedError

    def layouts(self) -> tuple[Layout, ...]:
        """Key layouts of its checkpoints; the first one has the canonical names."""
        return ()

    def look_alikes(self) -> tuple[tuple[str, str, str], ...]:
        """Networks whose files look like this one's: pattern of a key, name, difference."""
        return ()

    def recover(self, shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
        """The form, and the fields that these canonical names and shapes show.

        Raises:
            CheckpointError: a part of the network of which nothing is there.
        """
        raise NotImplementedError

    def half_fused(self, shapes: Mapping[str, Shape]) -> str:
        """What is wrong where a part is fused and another is not; else ""."""
        raise NotImplementedError

    def structure(self) -> list[Field]:
        """The fields that tell variants apart; the others are free within a variant."""
        return [field for field in self.fields if not field.free]

    def untold(self, form: str) -> dict[str, Field]:
        """The fields that the weights of a network in this form do not tell, by name."""
        return {field.name: field for field in self.fields if form in field.untold}

    def unseen(self, form: str) -> dict[str, Field]:
        """`untold`, and the settings."""
        return self.untold(form) | {setting.name: setting for setting in self.settings}

    def defaults(self) -> dict[str, Any]:
        """The fields that `create_model` need not be told."""
        return {f.name: copied(f.default) for f in self.fields if f.default is not None}

    def is_config(self, config: Mapping[str, Any]) -> bool:
        """Whether every field has a value that its kind allows."""
        return config.get("form") in (INFERENCE, TRAIN_TIME) and all(
            field.kind.allows(config.get(field.name))
            for field in (*self.fields, *(s for s in self.settings if s.name in config))
        )

"""DataConfig: what a network expects of its input."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

__all__ = [
    "CHANNEL_ORDERS",
    "INTERPOLATIONS",
    "DataConfig",
    "check_channels",
    "plain_data_config",
]

CHANNEL_ORDERS = ("RGB", "BGR")
INTERPOLATIONS = ("bilinear", "bicubic")

# Of ImageNet's red, green and blue, for pixels scaled to [0, 1].
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class DataConfig:
    """How 8-bit pixels become a network's input.

    A pixel p of 0..255 becomes ``(low + p * (high - low) / 255 - mean) / std`` of its channel.

    Attributes:
        mean: per channel, in the network's channel order.
        std: per channel, in the network's channel order; not zero.
        value_range: (low, high), what 0 and 255 are before mean and std are applied.
        channel_order: "RGB" or "BGR", what the network was trained on; images come as RGB.
        input_size: (height, width).
        crop_pct: the share of the resized image's short side that the central crop keeps.
        interpolation: "bilinear" or "bicubic", antialiased.

    Raises:
        ValueError: a value that none of these may have.
    """

    mean: tuple[float, ...] = _MEAN
    std: tuple[float, ...] = _STD
    value_range: tuple[float, float] = (0.0, 1.0)
    channel_order: str = "RGB"
    input_size: tuple[int, int] = (224, 224)
    crop_pct: float = 0.875
    interpolation: str = "bilinear"

    def __post_init__(self) -> None:
        for name in ("mean", "std", "value_range"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        object.__setattr__(self, "input_size", _size(self.input_size))
        if not self.mean or len(self.mean) != len(self.std):
            raise ValueError(f"mean is {self.mean}, std {self.std}; expected one per channel each")
        if min(self.std) <= 0:
            raise ValueError(f"std is {self.std}; expected positive numbers")
        if len(self.value_range) != 2 or self.value_range[0] >= self.value_range[1]:
            raise ValueError(f"value_range is {self.value_range}; expected (low, high), low < high")
        crop = self.crop_pct
        if isinstance(crop, bool) or not isinstance(crop, int | float) or not 0 < crop <= 1:
            raise ValueError(f"crop_pct is {crop!r}; expected a number above 0, at most 1")
        for name, known in (("channel_order", CHANNEL_ORDERS), ("interpolation", INTERPOLATIONS)):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} is {getattr(self, name)!r}; expected one of {known}")

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest value that normalised pixels can have."""
        channels = list(zip(self.mean, self.std, strict=True))
        low, high = self.value_range
        return min((low - m) / s for m, s in channels), max((high - m) / s for m, s in channels)

    def to_json(self) -> str:
        """A JSON object with the attributes."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> DataConfig:
        """The inverse of `to_json`; ValueError for anything else."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValueError("expected a JSON object") from error
        if not isinstance(values, dict):
            raise ValueError(f"found a {type(values).__name__}; expected a JSON object")
        known = [field.name for field in fields(cls)]
        unknown = sorted(values.keys() - set(known))
        if unknown:
            raise ValueError(f"found the field {unknown[0]!r}; expected some of {known}")
        return cls(**values)

    @classmethod
    def from_timm(cls, values: Mapping[str, Any]) -> DataConfig:
        """From timm's ``pretrained_cfg``, as in a module or in a hub repository's config.json."""
        given: dict[str, Any] = {
            name: values[name]
            for name in ("mean", "std", "crop_pct", "interpolation")
            if values.get(name) is not None
        }
        size = values.get("input_size")
        if size is not None:
            if not isinstance(size, list | tuple) or len(size) != 3:
                raise ValueError(f"input_size is {size!r}; expected (channels, height, width)")
            given["input_size"] = tuple(size[1:])
        return cls(**given)


# Where pickles look for it, whatever module it moves to.
DataConfig.__module__ = "mobileone.data"


def plain_data_config(channels: int) -> DataConfig:
    """Pixels in 0..1 as they are, for networks of that many channels."""
    return DataConfig(mean=(0.0,) * channels, std=(1.0,) * channels)


def check_channels(config: DataConfig, channels: int) -> DataConfig:
    """The same config; ValueError unless it is for that many channels."""
    if len(config.mean) != channels:
        raise ValueError(f"mean and std of {len(config.mean)} channels; the network has {channels}")
    return config


def _numbers(name: str, values: Any) -> tuple[float, ...]:
    valid = isinstance(values, list | tuple) and all(
        isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values
    )
    if not valid:
        raise ValueError(f"{name} is {values!r}; expected finite numbers")
    return tuple(float(v) for v in values)


def _size(values: Any) -> tuple[int, int]:
    valid = isinstance(values, list | tuple) and all(type(v) is int and v > 0 for v in values)
    if not valid or len(values) != 2:
        raise ValueError(f"input_size is {values!r}; expected (height, width)")
    return values[0], values[1]

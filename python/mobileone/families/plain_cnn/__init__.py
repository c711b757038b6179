"""The network of 30 layers behind the MobileOne paper's Tables 2 and 3; see `mobileone.studies`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import plain_cnn_graph
from mobileone.families.family import CLASSES, FLAG, SIZE, SIZES, TEXT, Family, Field

if TYPE_CHECKING:
    from mobileone._core import Graph
    from mobileone.data.config import DataConfig


class PlainCnnFamily(Family):
    """Depthwise-pointwise pairs that differ in one building block. Never published."""

    name = "plain_cnn"
    title = "plain CNN"
    fields = (
        Field("activation", TEXT),
        Field("squeeze_excite", FLAG),
        Field("skip", FLAG),
        Field("num_classes", CLASSES, free=True),
        Field("in_channels", SIZE, free=True),
        Field("reduction", SIZE),
        Field("groups", SIZE),
        Field("stem_width", SIZE),
        Field("widths", SIZES),
        Field("strides", SIZES),
    )

    def graph(self, config: Mapping[str, Any]) -> Graph:
        """As `plain_cnn_graph`, whose defaults stand for fields that are left out."""
        known = tuple(field.name for field in self.fields)
        fields = {key: value for key, value in config.items() if key != "architecture"}
        for key in fields:
            if key not in known:
                raise ValueError(f"plain_cnn has no field {key!r}; expected one of {known}")
        return plain_cnn_graph(**fields)

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        from mobileone.data.config import DataConfig, plain_data_config

        return DataConfig() if channels == 3 else plain_data_config(channels)


FAMILY = PlainCnnFamily()

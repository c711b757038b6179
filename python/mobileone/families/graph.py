"""From a configuration to a graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mobileone._core import Graph, mobileone_graph, mobilevit_graph

__all__ = [
    "FIELDS",
    "INFERENCE",
    "MOBILEONE",
    "MOBILEVIT",
    "TRAIN_TIME",
    "architecture_of",
    "graph_of",
]

INFERENCE, TRAIN_TIME = "inference", "train-time"
MOBILEONE, MOBILEVIT = "mobileone", "mobilevit"

# Per architecture, the fields of a complete configuration beside "form" and "architecture".
FIELDS = {
    MOBILEONE: (
        "stem_width",
        "widths",
        "depths",
        "num_conv_branches",
        "se_widths",
        "num_classes",
        "in_channels",
    ),
    MOBILEVIT: (
        "stem_width",
        "widths",
        "depths",
        "transformer_widths",
        "ffn_widths",
        "transformer_depths",
        "expansion",
        "head_width",
        "heads",
        "patch",
        "dropout",
        "ffn_dropout",
        "classifier_dropout",
        "num_classes",
        "in_channels",
    ),
}


def architecture_of(config: Mapping[str, Any]) -> str:
    """MOBILEONE, which is what configurations without the field mean, or MOBILEVIT."""
    found = config.get("architecture", MOBILEONE)
    if found not in FIELDS:
        raise ValueError(f"architecture is {found!r}; expected one of {tuple(FIELDS)}")
    return str(found)


def graph_of(config: Mapping[str, Any]) -> Graph:
    """The graph of a complete configuration."""
    architecture = architecture_of(config)
    fields = {key: config[key] for key in FIELDS[architecture]}
    make = mobilevit_graph if architecture == MOBILEVIT else mobileone_graph
    return make(**fields, inference=config["form"] == INFERENCE)

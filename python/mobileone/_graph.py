"""From a configuration to a graph."""

from __future__ import annotations

from typing import Any

from mobileone import _core

__all__ = ["FIELDS", "INFERENCE", "TRAIN_TIME", "graph_of"]

INFERENCE, TRAIN_TIME = "inference", "train-time"

FIELDS = (
    "stem_width",
    "widths",
    "depths",
    "num_conv_branches",
    "se_widths",
    "num_classes",
    "in_channels",
)


def graph_of(config: dict[str, Any]) -> _core.Graph:
    """The graph of a complete configuration."""
    fields = {key: config[key] for key in FIELDS}
    return _core.mobileone_graph(**fields, inference=config["form"] == INFERENCE)

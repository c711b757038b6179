"""Networks of which there is only a graph: read from other programs, see `checkpoint.graphs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import Graph
from mobileone.families.family import CLASSES, SIZE, SIZE_OR_NONE, TEXT, Family, Field

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

__all__ = ["config_of"]


class ImportedFamily(Family):
    """A configuration that holds the graph itself, as JSON."""

    name = "imported"
    title = "imported network"
    fields = (
        Field("graph", TEXT),
        Field("num_classes", CLASSES, free=True),
        Field("in_channels", SIZE, free=True),
        Field("features", SIZE_OR_NONE),
    )

    def task_of(self, config: Mapping[str, Any]) -> str:
        """Of maps, boxes, sequences, nothing but their shapes is known."""
        return self.task if config["num_classes"] or config["features"] else "other"

    def graph(self, config: Mapping[str, Any]) -> Graph:
        return Graph.from_json(config["graph"])

    def with_graph(self, config: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
        return {**config, "graph": graph.to_json()}

    def num_features(self, config: Mapping[str, Any]) -> int:
        return int(config["features"])

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        from mobileone.data.config import DataConfig, plain_data_config

        return DataConfig() if channels == 3 else plain_data_config(channels)


FAMILY = ImportedFamily()


def config_of(graph: Graph, shape: tuple[int, ...]) -> dict[str, Any]:
    """The configuration of a graph that takes images of this shape.

    A single result [N, K] is of a classifier, [N, K, 1, 1] of one without its last layer; of
    anything else no task is known.

    Raises:
        ValueError: a result of a single axis.
    """
    from mobileone._core import is_inference_form
    from mobileone.families.family import INFERENCE, TRAIN_TIME

    shapes = graph.shapes(shape)
    result = shapes[graph.output_name]
    for name, node in graph.outputs.items():
        if len(shapes[node]) < 2:
            raise ValueError(f"its result {name!r} has shape {shapes[node]}; expected (N, ...)")
    pooled = len(result) == 4 and result[2:] == (1, 1)
    return {
        **FAMILY.mark,
        "form": INFERENCE if is_inference_form(graph) else TRAIN_TIME,
        "graph": graph.to_json(),
        "num_classes": result[1] if len(result) == 2 else 0,
        "in_channels": shape[1],
        "features": result[1] if pooled else 0,
    }

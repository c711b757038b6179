"""Networks of which there is only a graph: read from other programs, see `checkpoint.graphs`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import Graph
from mobileone.families import HEADS, find_family
from mobileone.families.family import CLASSES, SIZE, SIZE_OR_NONE, TEXT, Family, Field, Kind

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

__all__ = ["config_of", "config_of_head", "imported_head"]


_HEAD = Kind(lambda value: value in HEADS, f"one of {', '.join(HEADS)}")


class ImportedFamily(Family):
    """A configuration that holds the graph itself, as JSON; "head" says what its results are, of a
    segmenter's or a detector's graph.
    """

    name = "imported"
    title = "imported network"
    fields = (
        Field("graph", TEXT),
        Field("num_classes", CLASSES, free=True),
        Field("in_channels", SIZE, free=True),
        Field("features", SIZE_OR_NONE),
    )

    settings: tuple[Field, ...] = (Field("head", _HEAD),)

    def task_of(self, config: Mapping[str, Any]) -> str:
        """Of maps, boxes, sequences, nothing but their shapes is known."""
        return self.task if config["num_classes"] or config["features"] else "other"

    def of(self, config: Mapping[str, Any]) -> Family:
        return imported_head(config["head"]) if "head" in config else self

    def graph(self, config: Mapping[str, Any]) -> Graph:
        return Graph.from_json(config["graph"])

    def with_graph(self, config: Mapping[str, Any], graph: Graph) -> dict[str, Any]:
        return {**config, "graph": graph.to_json()}

    def num_features(self, config: Mapping[str, Any]) -> int:
        return int(config["features"])

    def data_config(self, arch: str, layout: str, channels: int) -> DataConfig:
        from mobileone.data.config import DataConfig, plain_data_config

        return DataConfig() if channels == 3 else plain_data_config(channels)


class ImportedHead(ImportedFamily):
    """Of a graph whose results are those of a segmenter or a detector.

    Attributes:
        box_code: of a detector: how its maps are boxes.
    """

    def __init__(self, head: Family) -> None:
        self.task, self.min_size = head.task, head.min_size
        self.settings = (*ImportedFamily.settings, *head.settings)
        self.box_code = getattr(head, "box_code", None)


FAMILY = ImportedFamily()


def imported_head(name: object) -> Family:
    """What is known of graphs with this head's results; ValueError if there is no such head."""
    if name not in HEADS:
        raise ValueError(f"head is {name!r}; expected {_HEAD.expected}")
    return ImportedHead(find_family(name))


def config_of_head(graph: Graph, config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration of another graph with the results of a segmenter or detector.

    Args:
        graph: in inference form.
        config: of that segmenter or detector.
    """
    from mobileone.families.family import INFERENCE

    made = {**FAMILY.mark, "form": INFERENCE, "graph": graph.to_json(), "features": 0}
    head = find_family(config["architecture"])
    told = {"num_classes", "in_channels", *(setting.name for setting in head.settings)}
    return made | {key: config[key] for key in told if key in config} | {"head": head.name}


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

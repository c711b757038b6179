"""The compared network as plain data: operators in JSON, weights in .safetensors.

Rival processes read this, so that none of them loads our engine or a second OpenMP runtime.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone import Model

__all__ = ["WEIGHTS", "Network", "Step", "read_network", "write_network"]

WEIGHTS = "model.safetensors"
_NODES = "network.json"


@dataclass(frozen=True)
class Step:
    """An operator; ``relu`` when the activation that follows is computed with it.

    ``name`` is the operator's, and that of its weights; ``output`` names its result.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]
    relu: bool = False


@dataclass(frozen=True)
class Network:
    """``nodes`` in topological order, ``shapes`` by node name (maps NCHW), float32 ``weights``."""

    nodes: list[dict[str, Any]]
    shapes: dict[str, tuple[int, ...]]
    output: str
    weights: dict[str, npt.NDArray[np.float32]]

    @property
    def input_shape(self) -> tuple[int, ...]:
        """(N, C, H, W)."""
        return self.shapes[self.nodes[0]["name"]]

    def steps(self, *kinds: str) -> list[Step]:
        """The operators without the input; a ReLU is merged into its operand's, if of ``kinds``."""
        readers: dict[str, int] = {}
        for node in self.nodes:
            for name in node["inputs"]:
                readers[name] = readers.get(name, 0) + 1
        steps: list[Step] = []
        for node in self.nodes[1:]:
            last = steps[-1] if steps else None
            merges = last is not None and last.kind in kinds and node["inputs"] == [last.output]
            if last and merges and _is_relu(node) and readers[last.output] == 1:
                steps[-1] = Step(
                    last.name, last.kind, last.inputs, node["name"], last.attributes, relu=True
                )
            else:
                inputs = tuple(node["inputs"])
                steps.append(
                    Step(node["name"], node["kind"], inputs, node["name"], node["attributes"])
                )
        return steps


def _is_relu(node: dict[str, Any]) -> bool:
    return bool(node["kind"] == "Activation" and node["attributes"]["kind"] == "relu")


def write_network(model: Model, input_shape: tuple[int, ...], folder: Path) -> None:
    """Write a model in inference form, for one input shape, into an existing folder."""
    model.save(folder / WEIGHTS)
    graph = model.graph
    facts = {"nodes": graph.nodes, "shapes": graph.shapes(input_shape), "output": graph.output_name}
    (folder / _NODES).write_text(json.dumps(facts), encoding="utf-8")


def read_network(folder: Path) -> Network:
    """What `write_network` wrote."""
    from safetensors.numpy import load_file

    facts = json.loads((folder / _NODES).read_text(encoding="utf-8"))
    shapes = {name: tuple(shape) for name, shape in facts["shapes"].items()}
    return Network(facts["nodes"], shapes, facts["output"], load_file(folder / WEIGHTS))

"""Parts of a network, run one by one: from results that are held to another one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from mobileone._core import Graph, GraphBuilder, Network, Plan
from mobileone.data.arrays import Float32
from mobileone.quantization.sites import Node
from mobileone.util.machine.threads import thread_count

__all__ = ["Weights", "last_uses", "needed", "run_network", "run_segment"]

Weights = Mapping[str, np.ndarray[Any, Any]]


def needed(graph: Graph, held: Collection[str], end: str) -> tuple[list[Node], list[str]]:
    """The nodes that `end` needs beyond what is held, and what is held of what they read."""
    nodes = {node["name"]: node for node in graph.nodes}
    found: set[str] = set()
    starts: dict[str, None] = {}
    waiting = [end]
    while waiting:
        name = waiting.pop()
        if name in held:
            starts[name] = None
        elif name not in found:
            found.add(name)
            waiting += nodes[name]["inputs"]
    return [node for node in graph.nodes if node["name"] in found], list(starts)


def last_uses(graph: Graph, ends: Sequence[str], results: Sequence[str]) -> dict[str, int]:
    """By held result: the last of `ends` that is made of it, where after `ends[i]` is reached
    `results[i]` is held, too; the network's input is from the start.
    """
    held = set(graph.input_names)
    found: dict[str, int] = {}
    for i, end in enumerate(ends):
        found |= dict.fromkeys(needed(graph, held, end)[1], i)
        held |= set(results[i : i + 1])
    return found


def run_segment(graph: Graph, weights: Weights, held: Mapping[str, Float32], end: str) -> Float32:
    """The result of `end`, made of results that are held."""
    if end in held:
        return held[end]
    nodes, starts = needed(graph, held, end)
    builder = GraphBuilder()
    owners = {node["name"] for node in nodes}
    own = {name: w for name, w in weights.items() if name.rpartition(".")[0] in owners}
    # Plans have one input: what else is held is constants.
    builder.add(starts[0], "Input", channels=held[starts[0]].shape[1])
    for name in starts[1:]:
        builder.add(name, "Constant", shape=held[name].shape)
        own[f"{name}.value"] = held[name]
    for node in nodes:
        builder.add(node["name"], node["kind"], node["inputs"], **node["attributes"])
    builder.output(end)
    return run_network(Network(builder.build(), own), held[starts[0]], [end])[0]


def run_network(network: Network, x: Float32, names: Sequence[str]) -> list[Float32]:
    """The results of some nodes in eval mode."""
    plan = Plan(network, x.shape, list(names), thread_count().count)
    results = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(np.ascontiguousarray(x), results)
    return results

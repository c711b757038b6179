"""A network's results in an arithmetic that this CPU may only emulate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mobileone._core import Plan
from mobileone.data.arrays import Float32
from mobileone.network.bundle import Bundle
from mobileone.network.session import Session
from mobileone.util.machine.threads import thread_count

__all__ = ["Run", "run"]


@dataclass(frozen=True)
class Run:
    """Every feature level and output, and the nodes whose operands were rounded to bfloat16."""

    results: list[Float32]
    bfloat16_nodes: list[str]


def run(bundle: Bundle, images: Float32, dtype: str = "float32") -> Run:
    """The network's results in eval mode; see `mobileone.Model.compile` for `dtype`."""
    dtype = bundle.plan_dtype(dtype)
    if dtype == "float32":
        session = Session(bundle)
        outputs = session.logits(images)
        named = outputs.values() if isinstance(outputs, dict) else [outputs]
        return Run([*session.features(images), *named], [])
    graph = bundle.graph
    plan = _plan(bundle, images.shape, [*graph.feature_names, *graph.outputs.values()], dtype)
    results = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(images, results)
    if bundle.task == "classification":  # pooled maps have two axes more
        results[-1] = results[-1].reshape(len(images), -1)
    return Run(results, plan.bfloat16_nodes)


def _plan(bundle: Bundle, shape: tuple[int, ...], names: list[str], dtype: str) -> Plan:
    """Emulated where this CPU lacks the instructions."""
    threads = thread_count().count
    try:
        return Plan(bundle.network, shape, names, threads, dtype=dtype)
    except NotImplementedError:
        return Plan(bundle.network, shape, names, threads, backend="emulated", dtype=dtype)

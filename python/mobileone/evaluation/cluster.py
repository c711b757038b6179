"""An evaluation on a cluster, by Ray: one worker per CPU, which decodes and runs the networks."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

from mobileone.data.datasets.shards import Shard
from mobileone.evaluation.batches import Load, Plan, run_shard
from mobileone.evaluation.records import ShardResult
from mobileone.evaluation.subjects import Subject, open_subject
from mobileone.network.session import Session

__all__ = ["run_on_ray"]

# Shards that are with a worker at a time: one that it runs, one that waits.
_AHEAD = 2
# Of a shard whose worker died, on the worker that replaces it.
_RETRIES = 3
_TICK_S = 0.5


class Evaluator:
    """A worker: has the networks, compiled for its CPU, and runs shards."""

    def __init__(self, packed: dict[str, Any]) -> None:
        self._plan = _unpacked(packed)

    def run(self, number: int, shard: Shard) -> tuple[int, ShardResult, Load]:
        """One shard in this process."""
        load = Load()
        return number, run_shard(shard, self._plan, load), load


def run_on_ray(
    shards: Iterable[Shard],
    plan: Plan,
    load: Load,
    *,
    address: str | None,
    workers: int | None,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, ShardResult]]:
    """Results with the number of their shard, in any order: those of `local.run_shards`.

    Weights are shipped once to every node. What is not done yet of a worker that dies is done by
    its replacement.

    Args:
        shards: what is evaluated; files must have the same paths on all nodes.
        plan: how.
        load: where seconds and pictures are counted.
        address: of a cluster, as `ray.init` takes it; None: one that runs here already, or a new
            one on this machine.
        workers: how many, of one CPU each; None: all CPUs of the cluster.
        tick: is called now and then.

    Raises:
        ImportError: ray is not installed.
    """
    ray = _ray(address)
    packed = ray.put(_packed(plan))
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    remote = ray.remote(num_cpus=1, max_restarts=-1, max_task_retries=_RETRIES)(Evaluator)
    evaluators = [remote.remote(packed) for _ in range(count)]
    try:
        yield from _results(ray, evaluators, enumerate(shards), load, tick)
    finally:
        for evaluator in evaluators:
            ray.kill(evaluator)


def _results(
    ray: Any,
    evaluators: list[Any],
    left: Iterator[tuple[int, Shard]],
    load: Load,
    tick: Callable[[], None],
) -> Iterator[tuple[int, ShardResult]]:
    running: dict[Any, Any] = {}

    def give(evaluator: Any, count: int) -> None:
        for number, shard in islice(left, count):
            running[evaluator.run.remote(number, shard)] = evaluator

    for evaluator in evaluators:
        give(evaluator, _AHEAD)
    while running:
        done, _ = ray.wait(list(running), timeout=_TICK_S)
        tick()
        for reference in done:
            evaluator = running.pop(reference)
            number, result, own = _get(ray, reference)
            give(evaluator, 1)
            load.decoding_s += own.decoding_s
            load.inference_s += own.inference_s
            load.pictures += own.pictures
            yield number, result


def _get(ray: Any, reference: Any) -> tuple[int, ShardResult, Load]:
    """What a worker gives; its exceptions as they would be raised here."""
    try:
        answer: tuple[int, ShardResult, Load] = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        raise error.cause if isinstance(error.cause, Exception) else error from error
    return answer


def _ray(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("ray: evaluating on a cluster needs 'mobileone[ray]'") from error
    if not ray.is_initialized():
        ray.init(
            address,
            include_dashboard=False if address is None else None,
            logging_level=logging.ERROR,
            log_to_driver=False,
        )
    return ray


def _packed(plan: Plan) -> dict[str, Any]:
    """A plan that pickles."""
    subjects = []
    for subject in plan.subjects:
        if subject.bundle is not None:
            subjects.append(("bundle", Session(subject.bundle).state()))
        elif subject.portable:
            subjects.append(("source", subject.source))
        else:
            raise ValueError(
                f"{subject.name}: is a session of this process, which cannot be sent to others; "
                "expected the path of its .onnx file"
            )
    fields = ("views", "decoding", "classes", "batch_size", "stop")
    return {"subjects": subjects, "plan": {name: getattr(plan, name) for name in fields}}


def _unpacked(packed: dict[str, Any]) -> Plan:
    subjects: list[Subject] = []
    for kind, value in packed["subjects"]:
        source = Session.from_state(value)[0].bundle if kind == "bundle" else value
        subjects.append(open_subject(source))
    return Plan(tuple(subjects), **packed["plan"])

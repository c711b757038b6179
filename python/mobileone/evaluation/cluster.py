"""An evaluation on a cluster, by Ray: one worker per CPU, which decodes and runs the networks."""

from __future__ import annotations

import logging
import os
from collections import Counter
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
# How often a shard is given to another worker, or a worker started again in a row, in vain.
_RETRIES = 3
_TICK_S = 0.5


class Evaluator:
    """A worker: has the networks, compiled for its CPU, and runs shards."""

    def __init__(self, packed: dict[str, Any]) -> None:
        self._plan = _unpacked(packed)

    def ready(self) -> None:
        """Answers once there is a CPU for it."""

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

    Weights are shipped once to every node. What a worker that dies has not done is done by others;
    its replacement starts when there is a CPU for it, which may be never.

    Args:
        shards: what is evaluated; files must have the same paths on all nodes.
        plan: how.
        load: where seconds and pictures are counted.
        address: of a cluster, as `ray.init` takes it ("auto": one that runs on this machine); None:
            the one that this process is connected to, else that of RAY_ADDRESS, else a new one of
            this process's own.
        workers: how many, of one CPU each; None: all CPUs of the cluster.
        tick: is called now and then.

    Raises:
        ImportError: ray is not installed.
    """
    ray = _ray(address)
    packed = ray.put(_packed(plan))
    count = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    remote = ray.remote(num_cpus=1)(Evaluator)
    crew = _Crew(ray, lambda: remote.remote(packed), count)
    try:
        yield from crew.results(_Left(shards), load, tick)
    finally:
        crew.dismiss()


class _Left:
    """Shards by number that no worker has."""

    def __init__(self, shards: Iterable[Shard]) -> None:
        self._fresh = enumerate(shards)
        self._next: list[tuple[int, Shard]] = []

    def __bool__(self) -> bool:
        self._next = self._next or list(islice(self._fresh, 1))
        return bool(self._next)

    def take(self) -> tuple[int, Shard]:
        return self._next.pop()

    def put_back(self, number: int, shard: Shard) -> None:
        self._next.append((number, shard))


class _Crew:
    """The workers of an evaluation: those that start, and those that have up to `_AHEAD` shards."""

    def __init__(self, ray: Any, hire: Callable[[], Any], count: int) -> None:
        self._ray, self._hire = ray, hire
        self._starting: dict[Any, Any] = {}  # by what tells that they have started
        self._ready: dict[Any, int] = {}  # how many shards each has
        self._running: dict[Any, tuple[Any, int, Shard]] = {}
        self._failures: Counter[int | None] = Counter()  # of shards, by number; None: of starts
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        worker = self._hire()
        self._starting[worker.ready.remote()] = worker

    def dismiss(self) -> None:
        for worker in (*self._starting.values(), *self._ready):
            self._ray.kill(worker)

    def results(
        self, left: _Left, load: Load, tick: Callable[[], None]
    ) -> Iterator[tuple[int, ShardResult]]:
        while left or self._running:
            self._hand_out(left)
            done, _ = self._ray.wait([*self._starting, *self._running], timeout=_TICK_S)
            tick()
            for reference in done:
                if reference in self._starting:
                    self._started(reference)
                elif (answer := self._answer(reference, left)) is not None:
                    number, result, own = answer
                    load.decoding_s += own.decoding_s
                    load.inference_s += own.inference_s
                    load.pictures += own.pictures
                    yield number, result

    def _hand_out(self, left: _Left) -> None:
        for worker, count in self._ready.items():
            while count < _AHEAD and left:
                number, shard = left.take()
                self._running[worker.run.remote(number, shard)] = (worker, number, shard)
                count += 1
            self._ready[worker] = count

    def _started(self, reference: Any) -> None:
        worker = self._starting.pop(reference)
        try:
            self._ray.get(reference)
        except self._ray.exceptions.RayActorError as error:
            self._failed(None, error)
            self._start()
        else:
            self._failures[None] = 0
            self._ready[worker] = 0

    def _answer(self, reference: Any, left: _Left) -> tuple[int, ShardResult, Load] | None:
        """What a worker gives; None if it died. Its exceptions as they would be raised here."""
        worker, number, shard = self._running.pop(reference)
        try:
            answer: tuple[int, ShardResult, Load] = self._ray.get(reference)
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause if isinstance(error.cause, Exception) else error from error
        except self._ray.exceptions.RayActorError as error:
            left.put_back(number, shard)
            self._failed(number, error)
            if self._ready.pop(worker, None) is not None:  # the first that is heard of it
                self._ray.kill(worker)
                self._start()
            return None
        if worker in self._ready:  # not taken for dead meanwhile
            self._ready[worker] -= 1
        return answer

    def _failed(self, what: int | None, error: Exception) -> None:
        self._failures[what] += 1
        if self._failures[what] > _RETRIES:
            raise error


def _ray(address: str | None) -> Any:
    try:
        import ray
    except ImportError as error:
        raise ImportError("ray: evaluating on a cluster needs 'mobileone[ray]'") from error
    if not ray.is_initialized():
        # Of None Ray makes any cluster that happens to run on the machine, whosever it is.
        own = address is None and not os.environ.get("RAY_ADDRESS")
        ray.init(
            "local" if own else address,
            include_dashboard=False if own else None,
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

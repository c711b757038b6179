"""An evaluation on this machine: processes decode while threads run the networks."""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from mobileone.data.datasets.shards import Shard
from mobileone.evaluation.batches import (
    Batch,
    Load,
    Plan,
    finish_batch,
    infer,
    open_shard,
    run_shard,
)
from mobileone.evaluation.decoders import Decoder, shared_slots
from mobileone.evaluation.records import ShardResult

__all__ = ["run_shards"]

# How often the caller's thread looks at the clock and at Ctrl-C.
_TICK_S = 0.2


def run_shards(
    shards: Iterable[Shard],
    plan: Plan,
    load: Load,
    *,
    workers: int,
    threads: int,
    tick: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, ShardResult]]:
    """Results with the number of their shard, in any order.

    Args:
        shards: what is evaluated.
        plan: how.
        load: where seconds are counted.
        workers: processes that decode; 0: everything in the calling thread.
        threads: that run networks, where these can run side by side.
        tick: is called now and then.
    """
    if not workers:
        for number, shard in enumerate(shards):
            yield number, run_shard(shard, plan, load)
            tick()
        return
    runners = threads if all(subject.parallel for subject in plan.subjects) else 1
    with _Run(shards, plan, load, workers, runners) as run:
        yield from run.results(tick)


class _Run:
    """The threads of an evaluation.

    A feeder per process takes the next batch when there is a free slot, and waits for its pixels; a
    runner takes pixels, and frees the slot. So no more than the slots' batches are ever held, and
    whichever side is slower is never idle. Both take turns on the cores: there may be as many of
    each as cores.
    """

    def __init__(
        self, shards: Iterable[Shard], plan: Plan, load: Load, workers: int, runners: int
    ) -> None:
        self._plan, self._load = plan, load
        self._batches = self._all_batches(shards)
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        count = workers + runners + 1
        self._memory, self._slots = shared_slots(plan.decoding, plan.batch_size, count)
        self._free: queue.SimpleQueue[int | None] = queue.SimpleQueue()
        for slot in range(count):
            self._free.put(slot)
        self._ready: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._left = {"feed": workers, "infer": runners}  # threads that have not ended
        self._decoders: list[Decoder] = []
        self._threads = [threading.Thread(target=self._feed, daemon=True) for _ in range(workers)]
        self._threads += [threading.Thread(target=self._infer, daemon=True) for _ in range(runners)]

    def __enter__(self) -> _Run:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for _thread in self._threads:
            self._free.put(None)
            self._ready.put(None)
        with self._lock:
            for decoder in self._decoders:
                decoder.close()
        for thread in self._threads:
            thread.join()
        os.close(self._memory)

    def results(self, tick: Callable[[], None]) -> Iterator[tuple[int, ShardResult]]:
        """Those of shards, as they are finished."""
        left: dict[int, int] = {}
        last = time.monotonic()
        while True:
            try:
                item = self._done.get(timeout=_TICK_S)
            except queue.Empty:
                item = ()
            if time.monotonic() - last >= _TICK_S:
                last = time.monotonic()
                tick()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            if item:
                number, result, batches = item
                left[number] = left.get(number, batches) - 1
                if left[number] <= 0:
                    del left[number]
                    yield number, result

    def _all_batches(
        self, shards: Iterable[Shard]
    ) -> Iterator[tuple[int, ShardResult, int, Batch | None]]:
        for number, shard in enumerate(shards):
            result, batches = open_shard(shard, self._plan)
            if not batches:
                yield number, result, 0, None
            for batch in batches:
                yield number, result, len(batches), batch

    def _next(self) -> tuple[int, ShardResult, int, Batch | None] | None:
        with self._lock:
            return None if self._stopped.is_set() else next(self._batches, None)

    def _feed(self) -> None:
        try:
            decoder = None
            while (slot := self._free.get()) is not None and not self._stopped.is_set():
                item = self._next()
                if item is None:
                    break
                batch = item[3]
                if batch is None:
                    self._done.put(item[:3])
                    self._free.put(slot)
                    continue
                if batch.encoded:
                    decoder = decoder or self._start_decoder()
                    sources = [picture.source for picture in batch.pictures]
                    batch.errors, batch.rotated, seconds = decoder(slot, sources)
                    with self._lock:
                        self._load.decoding_s += seconds
                self._ready.put((item, slot))
        except BaseException as error:
            self._fail(error)
        finally:
            if self._was_last("feed"):  # one for each runner: in a queue, after everything else
                for _ in range(self._left["infer"]):
                    self._ready.put(None)

    def _start_decoder(self) -> Decoder:
        decoder = Decoder(self._plan.decoding, self._plan.batch_size, self._memory)
        with self._lock:
            self._decoders.append(decoder)
            if self._stopped.is_set():
                decoder.close()
        return decoder

    def _infer(self) -> None:
        try:
            while (ready := self._ready.get()) is not None and not self._stopped.is_set():
                (number, result, batches, batch), slot = ready
                start = time.perf_counter()
                pixels = self._slots.arrays[slot] if batch.encoded else None
                records = infer(batch, self._plan, pixels)
                self._free.put(slot)
                seconds = time.perf_counter() - start
                with self._lock:
                    self._load.inference_s += seconds
                    finish_batch(result, batch, records, self._plan)
                    self._load.pictures += len(batch.rows)
                self._done.put((number, result, batches))
        except BaseException as error:
            self._fail(error)
        finally:
            if self._was_last("infer"):
                self._done.put(None)

    def _was_last(self, side: str) -> bool:
        """Counts a thread that ends; whether no other one of its side is left."""
        with self._lock:
            self._left[side] -= 1
            return self._left[side] == 0

    def _fail(self, error: BaseException) -> None:
        if not self._stopped.is_set():
            self._done.put(error)

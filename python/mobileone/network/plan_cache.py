"""A bounded cache of plans: the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, Protocol, TypeVar

__all__ = ["CAPACITY", "CAPACITY_BYTES", "PlanCache", "held_bytes"]

# A plan costs its activations (a few MB at 224 x 224); packed weights are shared by all of them.
CAPACITY = 8
CAPACITY_BYTES = 256 << 20


class HasMemory(Protocol):
    """The engine's plan."""

    def memory(self) -> dict[str, int]: ...
    def release_idle(self) -> None: ...


T = TypeVar("T", bound=HasMemory)


def held_bytes(plan: HasMemory) -> int:
    """Bytes of activations and scratch that a plan holds at present, for all calls at once."""
    memory = plan.memory()
    return (memory["arena"] + memory["scratch"]) * memory["contexts"]


class PlanCache(Generic[T]):
    """Maps a key to the plan made for it. Safe to use from several threads.

    Of more than `capacity` plans the least recently used goes. While all together hold more than
    `capacity_bytes`, those give their activations back, and take them anew when they run again; the
    latest keeps its own, however large.

    Attributes:
        capacity: most plans that are kept.
        capacity_bytes: most bytes of activations and scratch that they hold.
        made: how many plans were made.
    """

    def __init__(self, capacity: int = CAPACITY, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self.capacity = capacity
        self.capacity_bytes = capacity_bytes
        self.made = 0
        self._plans: OrderedDict[Hashable, T] = OrderedDict()
        self._generation = 0  # counts clear(): a plan made before one is not kept after it
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The plan of `key`. Two threads that miss at once may both make one; one is kept."""
        with self._lock:
            if key in self._plans:
                if next(reversed(self._plans)) != key:
                    self._plans.move_to_end(key)
                    self._give_back()
                return self._plans[key]
            generation = self._generation
        made = make()  # outside the lock: compiling takes milliseconds
        with self._lock:
            self.made += 1
            if generation != self._generation:
                return made
            plan = self._plans.setdefault(key, made)
            self._plans.move_to_end(key)
            while len(self._plans) > self.capacity:
                self._plans.popitem(last=False)
            self._give_back()
        return plan

    def _give_back(self) -> None:
        plans = list(self._plans.values())
        held = sum(map(held_bytes, plans))
        for plan in plans[:-1]:
            if held <= self.capacity_bytes:
                break
            before = held_bytes(plan)
            plan.release_idle()
            held += held_bytes(plan) - before

    def clear(self) -> None:
        """Forget all plans; those in use live on until they are done."""
        with self._lock:
            self._generation += 1
            self._plans.clear()

    def values(self) -> list[T]:
        """The cached plans, least recently used first."""
        with self._lock:
            return list(self._plans.values())

    def __len__(self) -> int:
        return len(self._plans)

    def __iter__(self) -> Iterator[Hashable]:
        with self._lock:
            return iter(list(self._plans))

"""A bounded cache of plans: the least recently used goes first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

# A plan costs its activations (a few MB at 224 x 224); packed weights are shared by all of them.
CAPACITY = 8


class PlanCache(Generic[T]):
    """Maps a key to the plan made for it. Safe to use from several threads.

    Attributes:
        made: how many plans were made.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self.capacity = capacity
        self.made = 0
        self._plans: OrderedDict[Hashable, T] = OrderedDict()
        self._generation = 0  # counts clear(): a plan made before one is not kept after it
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """The plan of `key`. Two threads that miss at once may both make one; one is kept."""
        with self._lock:
            if key in self._plans:
                self._plans.move_to_end(key)
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
        return plan

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

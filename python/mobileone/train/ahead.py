"""Batches that are made while the one before is learned from."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; the next one is made by another thread meanwhile. None is no item.

    Both the engine and Pillow let other threads run. Exceptions come where the item would have.
    """
    with ThreadPoolExecutor(1, "mobileone-data") as pool:
        future = pool.submit(next, items, None)
        while (item := future.result()) is not None:
            future = pool.submit(next, items, None)
            yield item

"""A process that decodes pictures into memory that it shares with its parent."""

from __future__ import annotations

import mmap
import os
import signal
import time
from multiprocessing.connection import Connection

import numpy as np

from mobileone.evaluation.views import Decoding, decode_all

__all__ = ["Slots", "main"]


class Slots:
    """Shared memory for batches of pixels: `count` slots, each with an array per data config.

    Args:
        descriptor: of the memory; it has no name, and is gone with the last process that has it.
        decoding: whose arrays they are.
        batch_size: pictures in a slot.
        count: slots; None: as many as the memory has.
    """

    def __init__(
        self, descriptor: int, decoding: Decoding, batch_size: int, count: int | None = None
    ) -> None:
        shapes = decoding.shapes(batch_size)
        sizes = [int(np.prod(shape)) for shape in shapes]
        if count is None:
            count = os.fstat(descriptor).st_size // sum(sizes)
        else:
            os.ftruncate(descriptor, count * sum(sizes))
        self._memory = mmap.mmap(descriptor, count * sum(sizes))
        self.arrays = []
        for slot in range(count):
            offset, arrays = slot * sum(sizes), []
            for shape, size in zip(shapes, sizes, strict=True):
                flat = np.frombuffer(self._memory, np.uint8, size, offset)
                arrays.append(flat.reshape(shape))
                offset += size
            self.arrays.append(arrays)


def main(pipe: int, memory: int) -> None:
    """Answers tasks (slot, sources) with (errors, rotated, seconds) until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to handle
    with Connection(pipe) as connection:
        decoding, batch_size = connection.recv()
        slots = Slots(memory, decoding, batch_size)
        while True:
            try:
                slot, sources = connection.recv()
            except EOFError:
                return
            start = time.perf_counter()
            errors, rotated = decode_all(sources, decoding, slots.arrays[slot])
            connection.send((errors, rotated, time.perf_counter() - start))

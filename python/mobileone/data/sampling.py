"""Batches of several image sizes and about equal cost, for training that is robust to scale.

The multi-scale sampler of MobileViT (Mehta & Rastegari, ICLR 2022, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt

from mobileone.util.checks import at_least, height_and_width

__all__ = ["MultiScaleSampler"]

Size = tuple[int, int]


class MultiScaleSampler:
    """A `batch_sampler` for `torch.utils.data.DataLoader` that draws a size for every batch.

    At iteration t it draws a size (H_t, W_t) of the set S at random, and the batch holds
    b_t = H_n W_n b / (H_t W_t) samples, rounded down, for a batch size b at the largest size
    (H_n, W_n): small images come in larger batches, so that an epoch takes fewer updates.

    Iterating yields one list per batch with one (height, width, index) per sample, which is what
    the dataset's `__getitem__` is called with. Torch is not imported.

    >>> sampler = mobileone.MultiScaleSampler(len(dataset), 128, seed=0)
    >>> loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=8)
    >>> for epoch in range(300):
    ...     sampler.set_epoch(epoch)
    ...     for images, labels in loader: ...

    Args:
        data_source: the dataset, or its number of samples.
        batch_size: b, per rank, at `base_size`.
        sizes: S, integers for squares or (height, width) pairs; the default is the paper's.
        base_size: what `batch_size` is for; default: the largest of `sizes` by area, as in the
            paper. Sizes above it get smaller batches.
        equal_shares: whether every size gets the same share of an epoch's samples (draws with
            probability proportional to 1 / b_t) instead of its batches (all equally probable, as
            the paper says).
        shuffle: whether every epoch has an order of its own; else samples come by index.
        seed: of sizes and order.
        num_replicas: number of ranks that share an epoch.
        rank: this process's, from 0.
        drop_last: whether to leave out the samples that fill no last batch.

    All ranks draw the same sizes and the same number of batches. Without `drop_last` the last batch
    is smaller, and every sample comes once per epoch, except that up to `num_replicas` - 1 come
    twice to deal the last batch out evenly. Sizes and order depend on `seed` and the epoch alone:
    not on the machine nor on NumPy's version.

    Raises:
        ValueError: an argument out of range, or a size that is named twice.
    """

    def __init__(
        self,
        data_source: int | Sized,
        batch_size: int,
        *,
        sizes: Sequence[int | Size] = (160, 192, 256, 288, 320),
        base_size: int | Size | None = None,
        equal_shares: bool = False,
        shuffle: bool = True,
        seed: int = 0,
        num_replicas: int = 1,
        rank: int = 0,
        drop_last: bool = False,
    ) -> None:
        samples = len(data_source) if isinstance(data_source, Sized) else data_source
        self.num_samples = at_least("data_source", samples, 1)
        self.sizes = _size_set(sizes)
        base = self.sizes[-1] if base_size is None else _pair("base_size", base_size)
        budget = at_least("batch_size", batch_size, 1) * base[0] * base[1]
        self.batch_sizes = {(h, w): max(1, budget // (h * w)) for h, w in self.sizes}
        self.equal_shares = equal_shares
        self.shuffle = shuffle
        self.seed = at_least("seed", seed, 0)
        self.num_replicas = at_least("num_replicas", num_replicas, 1)
        self.rank = at_least("rank", rank, 0)
        if self.rank >= self.num_replicas:
            raise ValueError(f"rank is {rank}; expected 0 to num_replicas - 1 = {num_replicas - 1}")
        self.drop_last = drop_last
        self.epoch = 0
        if drop_last and self.num_samples < self.num_replicas * max(self.batch_sizes.values()):
            raise ValueError(
                f"data_source has {samples} samples; expected a batch of "
                f"{max(self.batch_sizes.values())} for each of {num_replicas} ranks with drop_last"
            )

    def set_epoch(self, epoch: int) -> None:
        """Choose what the next iteration yields; call it on every rank before every epoch."""
        self.epoch = at_least("epoch", epoch, 0)

    def __len__(self) -> int:
        """Batches of the current epoch; differs among epochs."""
        return len(self._draws())

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        """This rank's batches of the current epoch."""
        order = self._order()
        start = 0
        for choice in self._draws():
            height, width = self.sizes[choice]
            count = self.batch_sizes[height, width]
            dealt = order[start : start + count * self.num_replicas]
            if len(dealt) % self.num_replicas:
                missing = -len(dealt) % self.num_replicas
                dealt = np.concatenate([dealt, np.resize(order, missing)])
            mine = dealt[self.rank :: self.num_replicas]
            yield [(height, width, index) for index in mine.tolist()]
            start += len(dealt)

    def _draws(self) -> npt.NDArray[np.intp]:
        """Indices into `sizes`, one per batch of the current epoch."""
        counts = np.array([self.batch_sizes[size] for size in self.sizes])
        weights = 1 / counts if self.equal_shares else np.ones(len(counts))
        limits = np.cumsum(weights) / np.sum(weights)
        most = -(-self.num_samples // (self.num_replicas * int(counts.min())))
        uniform = self._bits(0, most) / 2.0**64
        choices = np.searchsorted(limits[:-1], uniform, side="right")
        dealt = np.cumsum(counts[choices]) * self.num_replicas
        if self.drop_last:
            return choices[: np.searchsorted(dealt, self.num_samples, side="right")]
        return choices[: np.searchsorted(dealt, self.num_samples, side="left") + 1]

    def _order(self) -> npt.NDArray[np.intp]:
        """The samples in this epoch's order, the same on every rank."""
        if not self.shuffle:
            return np.arange(self.num_samples)
        return np.argsort(self._bits(1, self.num_samples), kind="stable")

    def _bits(self, stream: int, count: int) -> npt.NDArray[np.uint64]:
        """Random 64-bit integers of (seed, epoch, stream)."""
        # NumPy keeps the streams of bit generators, but not those of distributions.
        seeds = np.random.SeedSequence((self.seed, self.epoch, stream))
        bits: npt.NDArray[np.uint64] = np.random.PCG64(seeds).random_raw(count)
        return bits

    def __repr__(self) -> str:
        pairs = ", ".join(f"{h}x{w}: {n}" for (h, w), n in self.batch_sizes.items())
        return (
            f"<mobileone.MultiScaleSampler of {self.num_samples} samples, rank {self.rank} of "
            f"{self.num_replicas}, batch sizes {pairs}>"
        )


def _size_set(sizes: Any) -> list[Size]:
    """Pairs in the order of their areas; ValueError for none, or for one that is there twice."""
    pairs = [_pair("sizes", size) for size in sizes]
    if not pairs:
        raise ValueError("sizes is empty; expected at least one image size")
    for pair in pairs:
        if pairs.count(pair) > 1:
            raise ValueError(f"sizes has {pair} more than once")
    return sorted(pairs, key=lambda pair: (pair[0] * pair[1], pair))


def _pair(name: str, size: Any) -> Size:
    return height_and_width(name, size, 1, verb="has")

"""The multi-scale sampler against the paper's formula, its update counts, and a real DataLoader."""

from __future__ import annotations

import math
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileone import MultiScaleSampler

IMAGENET = 1_281_167
PAPER = ((160, 160), (192, 192), (256, 256), (288, 288), (320, 320))
PINNED = [
    [(4, 8, 3), (4, 8, 8)],
    [(8, 4, 6), (8, 4, 2)],
    [(8, 4, 5), (8, 4, 7)],
    [(8, 4, 0), (8, 4, 1)],
    [(8, 4, 4)],
]
sides = st.integers(1, 64)
size_sets = st.lists(st.one_of(sides, st.tuples(sides, sides)), min_size=1, max_size=6).filter(
    lambda sizes: len({s if isinstance(s, tuple) else (s, s) for s in sizes}) == len(sizes)
)


@st.composite
def samplers(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "data_source": draw(st.integers(1, 400)),
        "batch_size": draw(st.integers(1, 9)),
        "sizes": draw(size_sets),
        "equal_shares": draw(st.booleans()),
        "shuffle": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**70)),
        "num_replicas": draw(st.integers(1, 5)),
    }


def epoch_of_all_ranks(arguments: dict[str, Any], epoch: int = 0) -> list[list[Any]]:
    ranks = []
    for rank in range(arguments["num_replicas"]):
        sampler = MultiScaleSampler(**arguments, rank=rank)
        sampler.set_epoch(epoch)
        batches = list(sampler)
        assert len(sampler) == len(batches)
        ranks.append(batches)
    return ranks


@given(arguments=samplers())
@settings(deadline=None)
def test_batch_sizes_follow_the_formula(arguments: dict[str, Any]) -> None:
    """b_t = H_n W_n b / (H_t W_t), rounded down."""
    sampler = MultiScaleSampler(**arguments)
    height, width = max(sampler.sizes, key=math.prod)
    assert sampler.batch_sizes[height, width] == arguments["batch_size"]
    for (h, w), count in sampler.batch_sizes.items():
        assert count == Fraction(height * width * arguments["batch_size"], h * w) // 1
    for batch in list(sampler)[:-1]:
        (size,) = {(h, w) for h, w, _ in batch}
        assert len(batch) == sampler.batch_sizes[size]


@given(arguments=samplers(), epoch=st.integers(0, 3))
@settings(max_examples=200, deadline=None)
def test_ranks_share_an_epoch(arguments: dict[str, Any], epoch: int) -> None:
    """Same sizes, same lengths; every sample once, but for what the last batch is filled with."""
    ranks = epoch_of_all_ranks(arguments, epoch)
    shapes = [[{(h, w) for h, w, _ in batch} for batch in batches] for batches in ranks]
    assert all(len(sizes) == 1 for sizes in shapes[0])
    assert all(other == shapes[0] for other in shapes)
    lengths = [[len(batch) for batch in batches] for batches in ranks]
    assert all(other == lengths[0] for other in lengths)
    seen = Counter(index for batches in ranks for batch in batches for _, _, index in batch)
    count = arguments["data_source"]
    assert sorted(seen) == list(range(count))
    assert seen.total() == count + -count % arguments["num_replicas"]
    before_last = [i for batches in ranks for batch in batches[:-1] for _, _, i in batch]
    assert len(set(before_last)) == len(before_last)


@given(arguments=samplers())
@settings(deadline=None)
def test_drop_last_leaves_out_less_than_a_batch(arguments: dict[str, Any]) -> None:
    whole = MultiScaleSampler(**arguments)
    largest = whole.num_replicas * max(whole.batch_sizes.values())
    if whole.num_samples < largest:
        with pytest.raises(ValueError, match=r"data_source has \d+ samples; expected a batch of"):
            MultiScaleSampler(**arguments, drop_last=True)
        return
    dropped = MultiScaleSampler(**arguments, drop_last=True)
    batches = list(dropped)
    assert batches
    assert len(batches) == len(dropped)
    assert batches == list(whole)[: len(batches)]
    assert all(len(batch) == dropped.batch_sizes[batch[0][:2]] for batch in batches)
    left = whole.num_samples - whole.num_replicas * sum(map(len, batches))
    assert 0 <= left < largest


def test_an_epoch_is_made_by_seed_and_epoch() -> None:
    def batches(seed: int, epoch: int) -> list[Any]:
        sampler = MultiScaleSampler(500, 4, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert batches(1, 2) == batches(1, 2)
    different = [batches(seed, epoch) for seed in range(3) for epoch in range(3)]
    assert all(a != b for i, a in enumerate(different) for b in different[:i])
    sampler = MultiScaleSampler(500, 4)
    assert list(sampler) == list(sampler)


def test_the_stream_is_the_same_on_every_machine() -> None:
    """Pinned: a run that is continued elsewhere, or a rank on another machine, must agree."""
    sampler = MultiScaleSampler(9, 1, sizes=[(4, 8), 8, (8, 4)], seed=3)
    sampler.set_epoch(1)
    assert list(sampler) == PINNED


def test_without_shuffling_samples_come_by_index() -> None:
    sampler = MultiScaleSampler(100, 3, shuffle=False)
    assert [index for batch in sampler for _, _, index in batch] == list(range(100))


@pytest.mark.parametrize("equal_shares", [False, True])
def test_sizes_are_drawn_as_often_as_promised(equal_shares: bool) -> None:
    """Counts of batches are multinomial: each within 6 standard deviations of its mean."""
    sampler = MultiScaleSampler(2_000_000, 4, equal_shares=equal_shares, seed=5)
    drawn = Counter(batch[0][:2] for batch in sampler)
    total = drawn.total()
    weights = {s: 1 / n if equal_shares else 1.0 for s, n in sampler.batch_sizes.items()}
    for size, weight in weights.items():
        share = weight / sum(weights.values())
        assert abs(drawn[size] - total * share) < 6 * math.sqrt(total * share * (1 - share))


def updates(**arguments: Any) -> int:
    """Of 300 epochs of ImageNet on 8 ranks with batches of 128, as the authors train."""
    sampler = MultiScaleSampler(IMAGENET, 128, num_replicas=8, drop_last=True, **arguments)
    total = 0
    for epoch in range(300):
        sampler.set_epoch(epoch)
        total += len(sampler)
    sizes = np.array(list(sampler.batch_sizes.values()))
    shares = 1 / sizes if sampler.equal_shares else np.ones(len(sizes))
    mean = np.average(sizes, weights=shares)
    squares = np.average(sizes**2, weights=shares)
    # Renewal theory: batches of random size b fill t places t / E[b] times, on average within
    # E[b^2] / E[b]^2 of it, and with a variance of t Var[b] / E[b]^3.
    expected = 300 * IMAGENET / 8 / mean
    deviation = np.sqrt(expected * (squares / mean**2 - 1))
    assert abs(total - expected) <= 6 * deviation + 300 * squares / mean**2
    return total


def test_update_counts_of_the_paper() -> None:
    """Figure 5b: 375 k for the standard sampler, 232 k for the multi-scale one.

    The second is what the paper's sizes give when every size has the same share of the samples. If
    all batches are equally probable, it is 177 k, or 277 k when b is meant for 256 x 256 instead
    of the largest size.
    """
    assert [MultiScaleSampler(1, 1).sizes] == [list(PAPER)]
    assert round(updates(sizes=[256]), -3) == 375_000
    assert abs(updates(equal_shares=True) / 232_000 - 1) < 0.01
    standard = 300 * IMAGENET / 1024
    for base in (320, 256):
        ratio = float(np.mean([base**2 / (h * w) for h, w in PAPER]))
        # Rounding down enlarges the count by less than 1 / 81, the smallest b_t.
        assert -0.01 < updates(base_size=base) / (standard / ratio) - 1 < 0.01 + 1 / 81


# torch's advice where there is one CPU only.
@pytest.mark.filterwarnings("ignore:This DataLoader will create 2 worker processes:UserWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_of_torch_takes_it(workers: int) -> None:
    torch = pytest.importorskip("torch")

    class Images(torch.utils.data.Dataset):  # type: ignore[misc]
        def __len__(self) -> int:
            return 150

        def __getitem__(self, key: tuple[int, int, int]) -> Any:
            height, width, index = key
            return torch.full((3, height, width), float(index)), index

    dataset = Images()
    sampler = MultiScaleSampler(dataset, 4, sizes=[16, (16, 24), 32], seed=9)
    loader = torch.utils.data.DataLoader(dataset, batch_sampler=sampler, num_workers=workers)
    for epoch in range(2):
        sampler.set_epoch(epoch)
        assert len(loader) == len(sampler)
        seen = []
        for batch, (images, labels) in zip(sampler, loader, strict=True):
            assert images.shape == (len(batch), 3, *batch[0][:2])
            assert labels.tolist() == [index for _, _, index in batch]
            assert torch.equal(images[:, 0, 0, 0], labels.float())
            seen += labels.tolist()
        assert sorted(seen) == list(range(150))


def test_larger_images_come_in_smaller_batches() -> None:
    sampler = MultiScaleSampler(10, 64, sizes=[8, (16, 8), 16, 32], base_size=(8, 16))
    counts = list(sampler.batch_sizes.values())
    assert counts == [128, 64, 32, 8]
    assert all(a > b for a, b in pairwise(counts))
    assert MultiScaleSampler(10, 1, sizes=[64], base_size=1).batch_sizes == {(64, 64): 1}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data_source": 0}, "data_source is 0; expected an integer of at least 1"),
        ({"data_source": []}, "data_source is 0"),
        ({"data_source": 1.5}, r"data_source is 1\.5"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"sizes": []}, "sizes is empty"),
        ({"sizes": [32, (32, 32)]}, r"sizes has \(32, 32\) more than once"),
        (
            {"sizes": [(1, 2, 3)]},
            r"sizes has \(1, 2, 3\); expected an integer or \(height, width\)",
        ),
        ({"sizes": [0]}, "sizes is 0"),
        ({"base_size": (1,)}, "base_size has"),
        ({"seed": -1}, "seed is -1"),
        ({"num_replicas": 0}, "num_replicas is 0"),
        ({"num_replicas": 2, "rank": 2}, "rank is 2; expected 0 to num_replicas - 1 = 1"),
        ({"rank": -1}, "rank is -1"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiScaleSampler(**{"data_source": 10, "batch_size": 1, **arguments})
    with pytest.raises(ValueError, match="epoch is -1"):
        MultiScaleSampler(10, 1).set_epoch(-1)


def test_it_says_what_it_does() -> None:
    assert repr(MultiScaleSampler(10, 2, sizes=[8, 16], num_replicas=2, rank=1)) == (
        "<mobileone.MultiScaleSampler of 10 samples, rank 1 of 2, batch sizes 8x8: 8, 16x16: 2>"
    )

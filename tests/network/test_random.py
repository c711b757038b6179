"""Random architectures and sizes against PyTorch: channels that fill no vector, odd everything."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import mobileone
import mobilevit_cases
import numpy as np
import pytest
import torch
import torch_mobileone
import torch_mobilevit
from cases import arrays, exact, images
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch_mobilevit_rounding import mobilevit_bounds
from torch_rounding import rounding_bounds

CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65])
WIDTHS = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 24, 31, 32, 33, 48])
HEAD_SIZES = st.sampled_from([1, 2, 3, 5, 8, 12, 16, 17, 20, 30, 36])
PATCHES = st.sampled_from([1, 2, 3, 4])


@st.composite
def mobileones(draw: st.DrawFn) -> torch_mobileone.Config:
    stages = draw(st.integers(1, 4))
    depths = tuple(draw(st.integers(1, 3)) for _ in range(stages))
    blocks = ["stage0"]
    blocks += [f"stage{s + 1}.{block}" for s in range(stages) for block in range(2 * depths[s])]
    return torch_mobileone.Config(
        stem=draw(CHANNELS),
        widths=tuple(draw(CHANNELS) for _ in range(stages)),
        depths=depths,
        branches=draw(st.integers(1, 5)),
        se_widths={
            name: draw(st.integers(1, 9)) for name in blocks if draw(st.integers(0, 4)) == 0
        },
        num_classes=draw(st.integers(1, 40)),
        in_channels=draw(st.integers(1, 5)),
    )


@st.composite
def mobilevits(draw: st.DrawFn) -> torch_mobilevit.Config:
    layers, heads = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    transformer = st.builds(
        lambda size, ffn, depth: (heads * size, ffn, depth), HEAD_SIZES, WIDTHS, st.integers(1, 2)
    )
    inner = tuple(draw(st.none() | transformer) for _ in range(layers))
    return torch_mobilevit.Config(
        widths=tuple(draw(WIDTHS) for _ in range(layers)),
        transformers=inner,
        expansion=draw(st.integers(1, 6)),
        head=draw(WIDTHS),
        depths=tuple(draw(st.integers(1, 2)) for _ in range(layers)),
        stem=draw(WIDTHS),
        heads=heads,
        patch=(draw(PATCHES), draw(PATCHES)),
        num_classes=draw(st.integers(1, 40)),
        in_channels=draw(st.integers(1, 5)),
    )


class Kind(NamedTuple):
    """A family: random configurations of it, the PyTorch module of one, and what goes with it."""

    name: str
    configs: st.SearchStrategy[Any]
    largest: int
    smallest: Any
    create: Callable[[Any, int], Any]
    engine: Callable[[Any], mobileone.Model]
    fused: Callable[[Any], Any]
    bounds: Callable[..., Any]


KINDS = (
    Kind(
        "mobileone",
        mobileones(),
        70,
        torch_mobileone.Config(1, (1,), (1,), 1, {"stage1.1": 1}, 1, 1),
        lambda config, seed: torch_mobileone.randomize(torch_mobileone.MobileOne(config), seed),
        lambda module: mobileone.load(arrays(module)),
        torch_mobileone.fused,
        rounding_bounds,
    ),
    Kind(
        "mobilevit",
        mobilevits(),
        50,
        torch_mobilevit.Config((1,), ((1, 1, 1),), 1, 1, depths=(1,), stem=1, heads=1),
        torch_mobilevit.create,
        mobilevit_cases.engine_model,
        torch_mobilevit.fused,
        mobilevit_bounds,
    ),
)
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)

Case = tuple[Any, int, tuple[int, int], int]
# Few elements per channel: several samples make their deviations sure.
SAMPLES = 8
SETTINGS = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def draw_case(kind: Kind, data: st.DataObject) -> Case:
    """A configuration, a batch size, an image size and a seed."""
    extents = st.integers(32, kind.largest)
    return data.draw(
        st.tuples(
            kind.configs, st.integers(1, 3), st.tuples(extents, extents), st.integers(0, 2**16)
        )
    )


def assert_both_forms_match_pytorch(kind: Kind, case: Case) -> None:
    config, batch, size, seed = case
    module = kind.create(config, seed)
    x = images(batch, size, channels=config.in_channels, seed=seed)
    with torch.no_grad():
        maps = module.features(exact(x))
        expected = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    model = kind.engine(module)
    pairs = [(model, module, False), (mobileone.reparameterize(model), kind.fused(module), True)]
    for engine, reference, rounded in pairs:
        bounds = kind.bounds(reference, exact(x), rounded_weights=rounded, samples=SAMPLES)
        found = [*engine.features(x), engine(x)]
        for a, b, bound in zip(found, expected, [*bounds.features, bounds.logits], strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= bound


@each_kind
@SETTINGS
@given(st.data())
def test_both_forms_match_pytorch(kind: Kind, data: st.DataObject) -> None:
    assert_both_forms_match_pytorch(kind, draw_case(kind, data))


@each_kind
def test_the_smallest_network(kind: Kind) -> None:
    assert_both_forms_match_pytorch(kind, (kind.smallest, 1, (32, 32), 0))


@each_kind
@SETTINGS
@given(st.data())
def test_training_matches_pytorch(kind: Kind, data: st.DataObject) -> None:
    assert_training_matches_pytorch(kind, draw_case(kind, data))


def test_training_with_gates_of_channels_that_fill_no_block() -> None:
    """Squeeze-and-excite in the stem of the smallest network; a batch, whose images have gates."""
    kind = next(kind for kind in KINDS if kind.name == "mobileone")
    config = dataclasses.replace(kind.smallest, se_widths={"stage0": 1})
    assert_training_matches_pytorch(kind, (config, 2, (32, 32), 0))


def assert_training_matches_pytorch(kind: Kind, case: Case) -> None:
    config, batch, size, seed = case
    module = kind.create(config, seed)
    x = images(batch + 1, size, channels=config.in_channels, seed=seed)
    bounds = kind.bounds(copy.deepcopy(module).train(), exact(x), samples=SAMPLES)
    model = kind.engine(module).train()
    with torch.no_grad():
        expected = module.train()(exact(x)).numpy()
    assert np.abs(model(x) - expected).max() <= bounds.logits
    found = model.network.weights()
    for key, bound in bounds.statistics.items():
        assert np.abs(found[key] - module.state_dict()[key].numpy()).max() <= bound, key

"""Random architectures and sizes against PyTorch: channels that fill no vector, odd everything."""

from __future__ import annotations

import copy

import mobileone
import numpy as np
import torch
from cases import arrays, exact, images
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from torch_mobileone import Config, MobileOne, fused, randomize
from torch_rounding import rounding_bounds

CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 24, 31, 32, 33, 48, 64, 65])


@st.composite
def configs(draw: st.DrawFn) -> Config:
    stages = draw(st.integers(1, 4))
    depths = tuple(draw(st.integers(1, 3)) for _ in range(stages))
    blocks = ["stage0"]
    blocks += [f"stage{s + 1}.{block}" for s in range(stages) for block in range(2 * depths[s])]
    return Config(
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


Case = tuple[Config, int, tuple[int, int], int]
CASES = st.tuples(
    configs(),
    st.integers(1, 3),
    st.tuples(st.integers(32, 70), st.integers(32, 70)),
    st.integers(0, 2**16),
)
# Few elements per channel: several samples make their deviations sure.
SAMPLES = 8
SETTINGS = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@SETTINGS
@given(CASES)
@example((Config(1, (1,), (1,), 1, {"stage1.1": 1}, 1, 1), 1, (32, 32), 0))
def test_both_forms_match_pytorch(case: Case) -> None:
    config, batch, size, seed = case
    module = randomize(MobileOne(config), seed)
    x = images(batch, size, channels=config.in_channels, seed=seed)
    levels = range(1 + len(config.widths))
    with torch.no_grad():
        maps = module.features(exact(x))
        expected = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    model = mobileone.load(arrays(module))
    pairs = [(model, module, False), (mobileone.reparameterize(model), fused(module), True)]
    for engine, reference, rounded in pairs:
        bounds = rounding_bounds(reference, exact(x), rounded_weights=rounded, samples=SAMPLES)
        found = [*engine.features(x, levels), engine(x)]
        for a, b, bound in zip(found, expected, [*bounds.features, bounds.logits], strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= bound


@SETTINGS
@given(CASES)
def test_training_matches_pytorch(case: Case) -> None:
    config, batch, size, seed = case
    module = randomize(MobileOne(config), seed)
    x = images(batch + 1, size, channels=config.in_channels, seed=seed)
    bounds = rounding_bounds(copy.deepcopy(module).train(), exact(x), samples=SAMPLES)
    model = mobileone.load(arrays(module)).train()
    with torch.no_grad():
        expected = module.train()(exact(x)).numpy()
    assert np.abs(model(x) - expected).max() <= bounds.logits
    found = model.state_dict()
    for key, bound in bounds.statistics.items():
        assert np.abs(found[key] - module.state_dict()[key].numpy()).max() <= bound, key

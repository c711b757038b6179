"""Random MobileViTs and sizes against PyTorch: channels that fill no vector, odd everything."""

from __future__ import annotations

import copy

import mobileone
import numpy as np
import torch
from cases import exact, images
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mobilevit_cases import assert_within, engine_model, outputs
from torch_mobilevit import Config, create, fused
from torch_mobilevit_rounding import mobilevit_bounds

WIDTHS = st.sampled_from([1, 2, 3, 5, 8, 13, 15, 16, 17, 24, 31, 32, 33, 48])
HEAD_SIZES = st.sampled_from([1, 2, 3, 5, 8, 12, 16, 17, 20, 30, 36])
PATCHES = st.sampled_from([1, 2, 3, 4])


@st.composite
def configs(draw: st.DrawFn) -> Config:
    layers, heads = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    transformer = st.builds(
        lambda size, ffn, depth: (heads * size, ffn, depth), HEAD_SIZES, WIDTHS, st.integers(1, 2)
    )
    inner = tuple(draw(st.none() | transformer) for _ in range(layers))
    return Config(
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


Case = tuple[Config, int, tuple[int, int], int]
CASES = st.tuples(
    configs(),
    st.integers(1, 3),
    st.tuples(st.integers(32, 50), st.integers(32, 50)),
    st.integers(0, 2**16),
)
# Few elements per channel: several samples make their deviations sure.
SAMPLES = 8
SETTINGS = settings(
    max_examples=6, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


@SETTINGS
@given(CASES)
@example((Config((1,), ((1, 1, 1),), 1, 1, depths=(1,), stem=1, heads=1), 1, (32, 32), 0))
def test_both_forms_match_pytorch(case: Case) -> None:
    config, batch, size, seed = case
    module = create(config, seed)
    x = images(batch, size, channels=config.in_channels, seed=seed)
    model, expected = engine_model(module), outputs(module, x)
    pairs = [(model, module, False), (mobileone.reparameterize(model), fused(module), True)]
    for engine, truth, rounded in pairs:
        bounds = mobilevit_bounds(truth, exact(x), rounded_weights=rounded, samples=SAMPLES)
        found = [*engine.features(x), engine(x)]
        assert_within(found, expected, [*bounds.features, bounds.logits])


@SETTINGS
@given(CASES)
def test_training_matches_pytorch(case: Case) -> None:
    config, batch, size, seed = case
    module = create(config, seed)
    x = images(batch + 1, size, channels=config.in_channels, seed=seed)
    bounds = mobilevit_bounds(copy.deepcopy(module).train(), exact(x), samples=SAMPLES)
    model = engine_model(module).train()
    with torch.no_grad():
        expected = module.train()(exact(x)).numpy()
    assert np.abs(model(x) - expected).max() <= bounds.logits
    found = model.network.weights()
    for key, bound in bounds.statistics.items():
        assert np.abs(found[key] - module.state_dict()[key].numpy()).max() <= bound, key

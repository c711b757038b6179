"""Scales moved between layers change no result."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
from mobileone._core import Network, reference_forward
from mobileone.quantization.equalize import equalize
from mobileone.quantization.scaling import find_reach, scale_channels
from mobileone.quantization.sites import find_sites
from mobileone.quantization.statistics import collect

from .nets import noise, small


@pytest.mark.parametrize("se", [False, True])
def test_any_scales_cancel(se: bool) -> None:
    """In float64, of weights that are exact multiples: powers of two round nothing."""
    model = small(se)
    weights = {name: np.array(w) for name, w in model.network.weights().items()}
    rng, moved = np.random.default_rng(0), 0
    for site in find_sites(model.graph):
        reach = find_reach(model.graph, site.name)
        if reach is None:
            continue
        divisors = 2.0 ** rng.integers(-3, 4, site.attributes["out_channels"])
        weights = scale_channels(weights, reach, divisors)
        moved += 1
    assert moved >= 8
    x, name = noise(2), model.graph.output_name
    (exact,), _ = reference_forward(model.network, x, [name])
    (found,), _ = reference_forward(Network(model.graph, weights), x, [name])
    np.testing.assert_allclose(found, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


def test_equalizing_is_the_same_function_and_evens_ranges() -> None:
    model = small()
    sites = find_sites(model.graph)
    names = list(dict.fromkeys(n for site in sites for n in (site.source, site.result)))
    statistics = collect(model.network, noise(), names)
    found = equalize(model.graph, model.network.weights(), sites, statistics, "minmax")
    assert found.sites > 0
    other = mobileone.Model(
        Network(model.graph, found.weights), model.config, arch="custom", name="equalized"
    )
    # The last level alone is what it was: scales inside are others.
    x = noise(2, seed=1)
    np.testing.assert_allclose(other(x), model(x), rtol=1e-4, atol=1e-4 * np.abs(model(x)).max())
    for site in sites:
        if site.depthwise and site.source in found.divisors:
            before, after = (s[site.source].edge for s in (statistics, found.statistics))
            assert np.ptp(np.log(after[after > 0])) < np.ptp(np.log(before[before > 0]))


def test_results_and_levels_with_other_readers_stay() -> None:
    graph = small().graph
    last = [site for site in find_sites(graph) if site.result == graph.feature_names[-1]]
    reach = find_reach(graph, last[0].name)
    assert reach is not None
    assert [node["kind"] for node in reach.absorbers] == ["Linear"]
    builder = mobileone._core.GraphBuilder()
    builder.add("input", "Input", channels=3)
    fields = {"in_channels": 3, "out_channels": 4, "kernel_size": (1, 1), "bias": True}
    builder.add("a", "Conv2d", ["input"], **fields)
    builder.add("b", "Activation", ["a"], kind="silu")
    builder.output("b")
    assert find_reach(builder.build(), "a") is None  # silu(s x) is not s silu(x)

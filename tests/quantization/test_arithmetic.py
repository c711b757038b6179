"""The engine's integers against NumPy's, bit for bit, and against the float network."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest

from .integer_reference import dequantized_levels
from .nets import noise, quantized, small


@pytest.mark.parametrize("backend", ["auto", "loops"])
def test_every_level_is_numpys_bit_for_bit(backend: str) -> None:
    model, x = quantized(), noise(3, seed=5)
    expected = dequantized_levels(model, x)
    assert len(expected) == len(model.graph.feature_names)
    plan = mobileone._core.Plan(
        model.network, x.shape, model.graph.feature_names, 1, backend=backend
    )
    found = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(x, found)
    for level, exact in zip(found, expected, strict=True):
        np.testing.assert_array_equal(level, exact)
        assert len(np.unique(exact)) > 20  # it is no constant that they agree on


def test_gates_stay_in_float32() -> None:
    kinds = {n["name"]: n["kind"] for n in quantized(se=True).graph.nodes}
    gates = [kind for name, kind in kinds.items() if ".se." in name and "Conv2d" in kind]
    assert len(gates) == 2 * sum(".se.pool" in name for name in kinds) > 0
    assert "QuantizedConvolution" in kinds.values()


@pytest.mark.parametrize("se", [False, True])
def test_it_is_the_float_network_up_to_its_noise(se: bool) -> None:
    x = noise(8, seed=9)
    exact, found = small(se)(x), quantized(se)(x)
    ratio = np.square(exact).sum() / np.square(found - exact).sum()
    assert ratio > 10**1.8  # 18 dB; a wrong scale or zero point anywhere leaves none


def test_levels_are_the_float_networks() -> None:
    x = noise(4, seed=9)
    for exact, found in zip(small().features(x), quantized().features(x), strict=True):
        assert exact.shape == found.shape
        assert np.square(exact).sum() > 10**1.5 * np.square(found - exact).sum()
    names = [level.shape for level in quantized().features(x, out_indices=2)]
    assert names == [level.shape for level in small().features(x, out_indices=2)]

"""The engine's integers against NumPy's, bit for bit, and against the float network."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
from mobileone.verification import fidelity
from mobileone.verification.fidelity import Fidelity, StageNoise

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


def test_verify_says_how_near_it_is_and_that_its_integers_are_right() -> None:
    pytest.importorskip("matplotlib")
    x = noise(2, seed=6)
    found = mobileone.verify(small(), quantized(), inputs=x, input_size=(48, 40))
    assert isinstance(found, Fidelity)
    assert found
    assert found.wrong == 0
    assert [row.name for row in found.rows] == ["stem", "stage 1", "stage 2", "stage 3", "logits"]
    assert found.rows[-1].sqnr > 15
    assert "bit for bit" in repr(found)
    assert "SQNR" in found._repr_html_()
    assert len(found.plot().lines[0].get_xdata()) == len(found.rows)
    gated = mobileone.verify(small(se=True), quantized(se=True), input_size=(48, 40))
    assert isinstance(gated, Fidelity)
    assert gated.wrong is None


def test_noise_of_a_stage_is_the_definition() -> None:
    a = np.array([[3.0, -4.0]], np.float32)
    b = np.array([[3.0, -4.5]], np.float32)
    row = StageNoise.of("logits", [(a, b), (a, a)])
    assert row.sqnr == pytest.approx(10 * np.log10(50 / 0.25))
    assert row.max_rel == pytest.approx(0.125)
    assert StageNoise.of("logits", [(a, a)]).sqnr == np.inf


def test_a_wrong_integer_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference of another network is what wrong kernels would give."""
    network = quantized().network
    weights = {name: np.array(w) for name, w in network.weights().items()}
    weights["stage0.reparam_conv.bias"] += 500
    other = mobileone._core.Network(network.graph, weights)
    real = fidelity.reference_forward
    monkeypatch.setattr(fidelity, "reference_forward", lambda _, *rest: real(other, *rest))
    found = mobileone.verify(small(), quantized(), input_size=(48, 40))
    assert not found
    assert "NOT those" in repr(found)

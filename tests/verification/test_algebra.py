"""verify compares weights by exact algebra, too, and finds what drowns in rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
import torch_mobileone
from cases import MOBILEVIT, arrays, fresh_model
from mobileone._core import Network, compare_weights, reparameterize

State = dict[str, np.ndarray]
SIZE = 64


def changed(model: mobileone.Model, change: Callable[[State], None]) -> Network:
    state = {name: np.array(array) for name, array in model.network.weights().items()}
    change(state)
    return Network(model.graph, state)


def worst(first: Network, second: Network) -> dict[str, Any]:
    found = compare_weights(first, second)
    assert found is not None
    return max(found, key=lambda row: row["ratio"])


def chosen(state: State, suffix: str, seed: int) -> str:
    """A seeded choice of one of the branches' tensors."""
    names = [name for name in state if "rbr_" in name and name.endswith(suffix)]
    return names[np.random.default_rng(seed).integers(len(names))]


def eps_times_ten(seed: int, hit: list[str]) -> Callable[[State], None]:
    """Weights whose batch norm computes what the given one would with eps 1e-4."""

    def change(state: State) -> None:
        block = chosen(state, ".running_var", seed).removesuffix(".running_var")
        state[f"{block}.weight"] *= np.sqrt(
            (state[f"{block}.running_var"] + 1e-5) / (state[f"{block}.running_var"] + 1e-4)
        )
        hit.append(block)

    return change


def one_weight_off(seed: int, hit: list[str]) -> Callable[[State], None]:
    def change(state: State) -> None:
        name = chosen(state, "conv.weight", seed)
        values = state[name].reshape(-1)
        values[np.random.default_rng(seed).integers(values.size)] *= 1.001
        hit.append(name)

    return change


@pytest.mark.parametrize("change", [eps_times_ten, one_weight_off])
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_mu0"])
def test_ten_of_ten_small_mistakes_are_found_where_they_are(name: str, change: Callable) -> None:
    model = fresh_model(name)
    for seed in range(10):
        hit: list[str] = []
        candidate = reparameterize(changed(model, change(seed, hit)))
        found = worst(model.network, candidate)
        block = hit[0].partition(".rbr_")[0]
        assert found["ratio"] > 1
        assert found["weight"].rpartition(".reparam_conv.")[0] == block


def fused_in_float32(module: torch_mobileone.MobileOne) -> State:
    """As repositories do it: every step in float32, the kernels of all branches summed."""
    state: State = {}
    for name, block in module.named_modules():
        if not isinstance(block, torch_mobileone.Block):
            continue
        c_in, c_out, size, _, groups = block.geometry
        kernel, bias = torch.zeros(c_out, c_in // groups, size, size), torch.zeros(c_out)
        branches = [*block.rbr_conv, *([block.rbr_scale] if block.rbr_scale else [])]
        parts = [(branch.conv.weight.float(), branch.bn) for branch in branches]
        if block.rbr_skip is not None:
            identity = torch.zeros(c_out, c_in // groups, 1, 1)
            identity[range(c_out), [c % (c_in // groups) for c in range(c_out)]] = 1
            parts.append((identity, block.rbr_skip))
        for weight, norm in parts:
            std = (norm.running_var.float() + norm.eps).sqrt()
            gain = norm.weight.float() / std
            pad = (size - weight.shape[2]) // 2
            padded = torch.nn.functional.pad(weight, [pad] * 4)
            kernel = kernel + padded * gain.reshape(-1, 1, 1, 1)
            bias = bias + (
                norm.bias.float() - norm.running_mean.float() * norm.weight.float() / std
            )
        state[f"{name}.reparam_conv.weight"] = kernel.detach().numpy()
        state[f"{name}.reparam_conv.bias"] = bias.detach().numpy()
        for key, value in block.se.state_dict().items():
            state[f"{name}.se.{key}"] = value.float().numpy()
    for key, value in module.linear.state_dict().items():
        state[f"linear.{key}"] = value.float().numpy()
    return state


SQUEEZED = {"stage0": 1, "stage1.2": 3, "stage1.3": 2, "stage2.2": 5}
CONFIGS = {
    "S0": torch_mobileone.VARIANTS["mobileone_s0"],
    "squeezed": torch_mobileone.Config(16, (16, 24), (2, 2), 2, SQUEEZED, 11),
    "one channel": torch_mobileone.Config(8, (8, 16), (2, 1), 5, {}, 1, 1),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_honest_fusions_are_within_rounding(name: str) -> None:
    for seed in range(1 if name == "S0" else 8):
        module = torch_mobileone.randomize(torch_mobileone.MobileOne(CONFIGS[name]), seed)
        model = mobileone.load(arrays(module)).network
        assert worst(model, reparameterize(model))["ratio"] < 1
        elsewhere = mobileone.load(fused_in_float32(module)).network
        assert 0 < worst(model, elsewhere)["ratio"] < 1
        assert 0 < worst(elsewhere, model)["ratio"] < 1


def test_extreme_statistics_are_within_rounding() -> None:
    """Tiny and huge variances, gains of 0 and below, means that cancel."""
    model = fresh_model("mobileone_mu0")
    random = np.random.default_rng(0)

    def change(state: State) -> None:
        for name, array in state.items():
            if name.endswith("running_var"):
                array[:] = 10.0 ** random.uniform(-12, 6, array.shape)
            elif name.endswith(("bn.weight", "rbr_skip.weight")):
                array[:] = random.choice([0.0, -1.0, 1e-3, 30.0], array.shape)
            elif name.endswith("running_mean"):
                array[:] = random.choice([0.0, 1e4, -1e-4], array.shape)

    extreme = changed(model, change)
    assert worst(extreme, reparameterize(extreme))["ratio"] < 1
    assert worst(extreme, extreme)["ratio"] == 0


def test_verify_says_which_block_and_element() -> None:
    model = fresh_model("mobileone_mu0")

    def change(state: State) -> None:
        state["stage3.2.rbr_conv.1.conv.weight"][7, 0, 2, 1] *= 1.001

    network = reparameterize(changed(model, change))
    candidate = replace(model.bundle.reparameterized(), network=network)
    result = mobileone.verify(model, candidate, input_size=SIZE)
    assert not result
    assert result.first_failure == "stage 3"
    row = result.rows[3]
    assert row.weights is not None
    assert row.weights.weight == "stage3.2.reparam_conv.weight"
    assert row.weights.index == (7, 0, 2, 1)
    assert row.weights.ratio > 1
    assert row.ratio <= 1  # results hide it
    assert "stage3.2.reparam_conv.weight[7, 0, 2, 1]" in result.message
    assert mobileone.verify(model, candidate, input_size=SIZE, algebra=False)


def test_every_stage_has_its_weights_column() -> None:
    model = fresh_model("mobileone_mu0")
    result = mobileone.verify(model, mobileone.reparameterize(model), input_size=SIZE)
    assert result, result
    assert all(row.weights is not None and row.weights.ratio < 1 for row in result.rows)
    assert "weights' |Δ| / bound" in repr(result)
    assert result.to_dict()["rows"][0]["weights"]["weight"].startswith("stage0.")


def test_other_graphs_are_compared_by_results_alone() -> None:
    """Two branches of a network with one: the same inference form; another head count: not."""
    model = MOBILEVIT.make()
    other = MOBILEVIT.make(heads=1)
    assert compare_weights(model.network, other.network) is None
    result = mobileone.verify(model, other, input_size=SIZE)
    assert all(row.weights is None for row in result.rows)


def test_weights_that_are_not_finite_differ() -> None:
    model = fresh_model("mobileone_mu0")

    def change(state: State) -> None:
        state["stage1.0.rbr_scale.bn.weight"][3] = np.nan

    broken = changed(model, change)
    assert worst(broken, broken)["ratio"] == np.inf

"""Training mode against PyTorch: outputs with batch statistics, updates of the running ones."""

from __future__ import annotations

import copy

import mobileone
import numpy as np
import pytest
import torch
from cases import arrays, engine_model, exact, fresh_model, images, torch_model
from numpy.typing import NDArray
from torch_mobileone import VARIANTS, MobileOne
from torch_rounding import rounding_bounds

# Every variant at an even or an odd size, some at both; each batch size 1, 2 and 5 at both sizes.
CASES = [
    (name, ((128, 128), (97, 131))[index % 2], 1 + index // 2 % 2)
    for index, name in enumerate(VARIANTS)
] + [("mobileone_s0", (97, 131), 5), ("mobileone_mu0", (224, 224), 5)]


def trained(module: MobileOne, *batches: NDArray) -> tuple[MobileOne, list[NDArray]]:
    """A copy that saw the batches in training mode; features and logits of the last."""
    module = copy.deepcopy(module).train()
    outputs: list[NDArray] = []
    with torch.no_grad():
        for batch in batches:
            maps = module.features(exact(batch))
            outputs = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    return module, outputs


def statistics(state: dict[str, NDArray]) -> dict[str, NDArray]:
    return {k: v for k, v in state.items() if k.endswith(("running_mean", "running_var"))}


@pytest.mark.parametrize(("name", "size", "batch"), CASES)
def test_outputs_and_statistics_match_pytorch(name: str, size: tuple[int, int], batch: int) -> None:
    x, module = images(batch, size, seed=1), torch_model(name)
    after, expected = trained(module, x)
    bounds = rounding_bounds(copy.deepcopy(module).train(), exact(x))

    model = fresh_model(name).train()
    before = model.state_dict()
    logits = model(x)
    assert np.abs(logits - expected[-1]).max() <= bounds.logits
    state = model.state_dict()
    for key, value in after.state_dict().items():
        found, wanted = state[key], value.numpy()
        if key.endswith("num_batches_tracked"):
            assert found == wanted == before[key] + 1
        elif key in bounds.statistics:
            assert np.abs(found - wanted).max() <= bounds.statistics[key], key
            assert not np.array_equal(found, before[key])
        else:
            np.testing.assert_array_equal(found, before[key], err_msg=key)

    levels = fresh_model(name).train().features(x)
    for level, (a, b) in enumerate(zip(levels, expected, strict=False)):
        assert np.abs(a - b).max() <= bounds.features[level], f"level {level}"


def test_the_bounds_catch_a_biased_variance() -> None:
    module, x = torch_model("mobileone_mu0"), images(2, (96, 96), seed=1)
    key = "stage4.1.rbr_conv.0.bn.running_var"
    after, _ = trained(module, x)
    bounds = rounding_bounds(copy.deepcopy(module).train(), exact(x))
    before, unbiased = module.state_dict()[key], after.state_dict()[key]
    count = 2 * 3 * 3
    biased = 0.9 * before + (unbiased - 0.9 * before) * (count - 1) / count
    assert (biased - unbiased).abs().max() > bounds.statistics[key]


def test_every_call_continues_from_the_last() -> None:
    module, model = torch_model("mobileone_mu0"), fresh_model("mobileone_mu0").train()
    batches = [images(2, (64, 96), seed=seed) for seed in range(3)]
    bounds = rounding_bounds(copy.deepcopy(module).train(), exact(batches[0]))
    for batch in batches:
        model(batch)
    after, _ = trained(module, *batches)
    found, expected = model.state_dict(), arrays(after)
    for key in statistics(expected):
        # Three updates bring at most three times the error of one.
        assert np.abs(found[key] - expected[key]).max() <= 3 * bounds.statistics[key], key
    key = "stage0.rbr_scale.bn.num_batches_tracked"
    assert found[key] == arrays(module)[key] + 3


def test_eval_uses_the_updated_statistics() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    before = model(x)
    model.train()(images(4, (64, 64), seed=5))
    after = model.eval()(x)
    assert not np.array_equal(before, after)
    again = mobileone.load(model.state_dict())
    np.testing.assert_array_equal(again(x), after)


def test_twenty_steps_compile_one_plan() -> None:
    model, x = fresh_model("mobileone_s0").train(), images(8, (64, 64))
    for _ in range(20):
        model(x)
    assert model._session.training_plans.plans.made == 1
    assert model.memory_report()["plans"] == 1
    model.features(x, out_indices=(1,))
    model(images(4, (64, 64)))
    model(x)
    assert model._session.training_plans.plans.made == 3
    held = [plan.memory()["contexts"] for plan in model._session.training_plans.plans.values()]
    assert sorted(held) == [0, 0, 1]  # activations of the latest shape only


def test_another_network_gets_a_plan_of_its_own() -> None:
    model, x = fresh_model("mobileone_mu0").train(), images(2, (64, 64))
    twin = fresh_model("mobileone_mu0").train()
    first = model(x)
    model.network = twin.network
    np.testing.assert_array_equal(model(x), first)
    assert model._session.training_plans.plans.made == 2


def test_a_training_plan_reads_the_weights_it_is_given() -> None:
    from mobileone._core import Network, Plan

    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    plan = Plan(model.network, x.shape, [model.graph.output_name], 1, training=True)
    logits = np.empty((2, 1000), np.float32)
    weights = {key: np.array(value) for key, value in model.network.weights().items()}
    weights["linear.weight"][:] = 0.0  # what is left is the bias, exactly
    for bias in (0.0, 1.5):
        weights["linear.bias"][:] = bias
        plan.train_forward(Network(model.graph, weights), x, [logits], 0)
        assert (logits == bias).all()
    with pytest.raises(ValueError, match="without parameters"):
        plan.run(x, [logits])
    other = fresh_model("mobileone_s0").network
    with pytest.raises(ValueError, match="shape"):
        plan.train_forward(other, x, [logits], 0)


def test_eval_changes_nothing_and_is_reached_from_either_side() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    assert model.training is False
    first = model(x)
    assert model.train() is model
    assert model.training is True
    assert model.eval() is model
    assert model.train(False).training is False
    np.testing.assert_array_equal(model(x), first)
    for key, value in engine_model("mobileone_mu0").state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[key], value, err_msg=key)


def test_arrays_given_out_before_stay_as_they_were() -> None:
    model = fresh_model("mobileone_mu0")
    state = model.state_dict()
    copied = {key: value.copy() for key, value in state.items()}
    model.train()(images(2, (64, 64)))
    for key, value in state.items():
        np.testing.assert_array_equal(value, copied[key], err_msg=key)


def test_only_the_layers_that_ran_are_updated() -> None:
    """As in PyTorch when only the stem's output is computed."""
    model = fresh_model("mobileone_mu0").train()
    before = model.state_dict()
    model.features(images(2, (64, 64)), out_indices=(0,))
    changed = {k.split(".")[0] for k, v in model.state_dict().items() if np.any(v != before[k])}
    assert changed == {"stage0"}


def test_training_mode_leaves_compiled_plans_and_fused_models_alone() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    compiled, fused = model.compile(x.shape), mobileone.reparameterize(model)
    expected, expected_fused = compiled(x), fused(x)
    model.train()(x)
    np.testing.assert_array_equal(compiled(x), expected)
    np.testing.assert_array_equal(fused(x), expected_fused)
    np.testing.assert_array_equal(fused.train()(x), expected_fused)


def test_a_compiled_plan_is_in_eval_mode() -> None:
    model, x = fresh_model("mobileone_mu0"), images(2, (64, 64))
    expected = model(x)
    np.testing.assert_array_equal(model.train().compile(x.shape)(x), expected)


@pytest.mark.parametrize("shape", [(1, 3, 32, 32), (0, 3, 64, 64)])
def test_a_single_value_per_channel_is_refused(shape: tuple[int, ...]) -> None:
    model = fresh_model("mobileone_mu0").train()
    before = model.state_dict()
    with pytest.raises(ValueError, match="more than one value per channel"):
        model(np.zeros(shape, np.float32))
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key], err_msg=key)


@pytest.mark.parametrize("shape", [(2, 3, 32, 32), (1, 3, 32, 64), (1, 3, 64, 32)])
def test_two_values_per_channel_are_enough(shape: tuple[int, ...]) -> None:
    x = images(shape[0], (shape[2], shape[3]))
    module = torch_model("mobileone_mu0")
    _, expected = trained(module, x)
    bounds = rounding_bounds(copy.deepcopy(module).train(), exact(x))
    logits = fresh_model("mobileone_mu0").train()(x)
    assert np.abs(logits - expected[-1]).max() <= bounds.logits

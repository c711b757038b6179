"""Loss and gradients of the engine's training step against PyTorch's autograd in float64."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
import torch_mobileone
from cases import arrays, exact
from gradient_cases import FLOAT32_BOUND, assert_gradient, autograd, with_constant_statistics
from mobileone._core import Plan
from mobileone.network.training_step import TrainingStep
from numpy.typing import NDArray
from torch.nn import functional as F

PATHS = ("moments", "branches", "auto")


def check(
    found: dict[str, NDArray],
    expected: dict[str, NDArray],
    module: torch.nn.Module,
    batch: tuple[NDArray, NDArray, float],
    bound: float = FLOAT32_BOUND,
) -> None:
    """Of every weight, relative to the terms that its gradient is a sum of."""
    fixed = with_constant_statistics(module, batch[0])
    _, terms, _, _ = autograd(fixed, *batch, training=False)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert_gradient(found[name], value, terms[name], bound, name)


class FoundSigns:
    """Stands for F in the reference: ReLU passes what the engine's passed.

    A pre-activation within rounding of zero may fall on either side, and changes gradients by
    percents: what is compared is the gradient of the same piece of the function.
    """

    def __init__(self, positive: list[NDArray]) -> None:
        self.positive = itertools.cycle(positive)  # of every forward pass, from the first on

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.from_numpy(next(self.positive)).reshape(x.shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(F, name)


def batch(images: int, size: int, classes: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    random = np.random.default_rng(seed)
    x = random.standard_normal((images, 3, size, size), dtype=np.float32)
    return x, random.integers(0, classes, images)


def small(**changes: Any) -> tuple[torch.nn.Module, mobileone.Model]:
    """Three branches, SE in one stage, a stride that leaves odd maps, widths that fill no block."""
    config: dict[str, Any] = {
        "stem": 12,
        "widths": (12, 20, 40),
        "depths": (1, 2, 1),
        "branches": 3,
        "num_classes": 7,
        "se_widths": {"stage2.2": 4, "stage2.3": 5},
        **changes,
    }
    module = torch_mobileone.randomize(
        torch_mobileone.MobileOne(torch_mobileone.Config(**config)), 3
    )
    return module, mobileone.load(arrays(module))


@pytest.mark.parametrize("path", PATHS)
def test_gradients_of_a_small_network(path: Any) -> None:
    module, model = small()
    x, labels = batch(5, 41, 7)
    step = TrainingStep(model._session, threads=1, train_path=path)
    loss, gradients = step.loss_and_gradients(x, labels, label_smoothing=0.1)
    expected_loss, expected, _, state = autograd(module, x, labels, 0.1, training=True)
    assert abs(loss - expected_loss) < 1e-5 * abs(expected_loss)
    check(gradients, expected, module, (x, labels, 0.1))
    statistics = step.network.weights()
    for name, _ in module.named_buffers():
        np.testing.assert_allclose(statistics[name], state[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["mobileone_mu0", "mobileone_s0", "mobileone_s4"])
def test_gradients_of_published_networks(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch_mobileone.create(name, num_classes=10)
    model = mobileone.load(arrays(module))
    x, labels = batch(4, 64, 10)
    nodes = {node["name"]: node for node in model.graph.nodes}
    relus = [n for n, node in nodes.items() if node["attributes"].get("kind") == "relu"]
    wanted = (*relus, model.graph.output_name)
    plan = Plan(model.network, x.shape, wanted, 2, training=True, gradients=True)
    outputs = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.train_forward(model.network, x, outputs, 0, np.eye(10, dtype=np.float32)[labels])
    found = [output > 0 for output in outputs[: len(relus)]]
    monkeypatch.setattr(torch_mobileone, "F", FoundSigns(found))
    expected_loss, expected, _, _ = autograd(module, x, labels, 0.0, training=True)
    assert abs(float(outputs[len(wanted)]) - expected_loss) < 1e-5 * abs(expected_loss)
    gradients = dict(zip(plan.gradient_names, outputs[len(wanted) + 1 :], strict=True))
    check(gradients, expected, module, (x, labels, 0.0))


def test_soft_targets_and_the_public_method() -> None:
    module, model = small()
    x, _ = batch(3, 33, 7)
    targets = np.random.default_rng(1).dirichlet(np.ones(7), 3).astype(np.float32)
    before = {name: np.array(value) for name, value in model.state_dict().items()}
    loss, gradients = model.loss_and_gradients(x, targets, label_smoothing=0.2)
    wanted = targets.astype(np.float64)
    expected_loss, expected, _, _ = autograd(module, x, wanted, 0.2, training=True)
    assert abs(loss - expected_loss) < 1e-5 * abs(expected_loss)
    check(gradients, expected, module, (x, wanted, 0.2))
    after = model.state_dict()
    moved = [name for name in after if not np.array_equal(after[name], before[name])]
    assert moved
    assert all("running_" in name or "num_batches" in name for name in moved)


def test_the_public_method_compiles_one_plan_and_steps_as_a_training_step_does() -> None:
    _, model = small()
    _, twin = small()
    step = TrainingStep(twin._session)
    for index in range(4):
        x, labels = batch(3, 33, 7, seed=index)
        loss, gradients = model.loss_and_gradients(x, labels)
        expected_loss, expected = step.loss_and_gradients(x, labels)
        assert loss == expected_loss
        for name, value in expected.items():
            np.testing.assert_array_equal(gradients[name], value, err_msg=name)
    step.publish()
    for name, value in twin.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value, err_msg=name)
    assert model.dropout_seed == twin.dropout_seed == 4
    assert model._session.training_plans.plans.made == 1
    kept = {name: value.copy() for name, value in gradients.items()}
    model.loss_and_gradients(*batch(2, 33, 7))  # gradients are the caller's: not written again
    for name, value in kept.items():
        np.testing.assert_array_equal(gradients[name], value)
    model.network = twin.network
    model.loss_and_gradients(x, labels)  # another network, another plan
    assert model._session.training_plans.plans.made == 3


@pytest.mark.parametrize("path", PATHS)
def test_any_number_of_threads_gives_the_same_bits(path: Any) -> None:
    _, model = small()
    x, labels = batch(5, 41, 7)
    results = []
    for threads in (1, 2, 3):
        step = TrainingStep(model._session, threads=threads, train_path=path)
        loss, gradients = step.loss_and_gradients(x, labels)
        results.append((loss, gradients, step.network.weights()))
    for loss, gradients, weights in results[1:]:
        assert loss == results[0][0]
        for name, value in gradients.items():
            np.testing.assert_array_equal(value, results[0][1][name], err_msg=name)
        for name, value in weights.items():
            np.testing.assert_array_equal(value, results[0][2][name], err_msg=name)


def test_what_is_written_into_the_parameters_counts() -> None:
    """Twenty steps of gradient descent as PyTorch takes them."""
    module, model = small()
    module = copy.deepcopy(module).train()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.02)
    step = TrainingStep(model._session, threads=1)
    for index in range(20):
        x, labels = batch(6, 33, 7, seed=index % 3)
        expected = F.cross_entropy(module(exact(x)), torch.from_numpy(labels))
        optimizer.zero_grad()
        expected.backward()
        optimizer.step()
        loss, gradients = step.loss_and_gradients(x, labels)
        assert abs(loss - expected.item()) < 1e-3 * abs(expected.item()), index
        for name, gradient in gradients.items():
            step.parameters[name] -= np.float32(0.02) * gradient
    assert step._plans.made == 1
    step.publish()
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, step.network.weights()[name])


def test_means_of_a_hundred_standard_deviations() -> None:
    """Moments are of differences from the mean."""
    module, model = small(branches=2, se_widths={})
    x, labels = batch(6, 33, 7)
    x += np.float32(100)
    step = TrainingStep(model._session, threads=1, train_path="moments")
    loss, gradients = step.loss_and_gradients(x, labels)
    expected_loss, expected, _, _ = autograd(module, x, labels, 0.0, training=True)
    # The first layer's outputs carry u * 100 of rounding, whichever way they are computed.
    assert abs(loss - expected_loss) < 1e-3 * abs(expected_loss)
    check(gradients, expected, module, (x, labels, 0.0), 100 * FLOAT32_BOUND)


def test_variance_zero_and_gamma_zero() -> None:
    module, _ = small(se_widths={})
    with torch.no_grad():
        module.get_submodule("stage1.0.rbr_conv.0.conv").weight.zero_()
        module.get_submodule("stage1.1.rbr_conv.1.bn").weight.zero_()
        module.get_submodule("stage2.0.rbr_conv.2.bn").weight.zero_()
    model = mobileone.load(arrays(module))
    x, labels = batch(4, 33, 7)
    step = TrainingStep(model._session, threads=1, train_path="moments")
    loss, gradients = step.loss_and_gradients(x, labels)
    expected_loss, expected, _, _ = autograd(module, x, labels, 0.0, training=True)
    assert abs(loss - expected_loss) < 1e-5 * abs(expected_loss)
    check(gradients, expected, module, (x, labels, 0.0))


@pytest.mark.parametrize(
    ("labels", "smoothing", "message"),
    [
        (np.zeros(3, int), 0.0, r"labels have shape \(3,\); expected \(2,\)"),
        (np.array([0, 7]), 0.0, "labels contain 7; expected 0 to 6"),
        (np.array([-1, 0]), 0.0, "labels contain -1; expected 0 to 6"),
        (np.zeros((2, 6)), 0.0, r"labels have shape \(2, 6\); expected \(2, 7\)"),
        (np.zeros(2, int), 1.5, "label_smoothing is 1.5; expected 0 to 1"),
    ],
)
def test_labels_that_do_not_fit(labels: NDArray, smoothing: float, message: str) -> None:
    _, model = small()
    with pytest.raises(ValueError, match=message):
        model.loss_and_gradients(batch(2, 33, 7)[0], labels, label_smoothing=smoothing)


def test_labels_of_another_type() -> None:
    _, model = small()
    with pytest.raises(TypeError, match="labels have dtype bool"):
        model.loss_and_gradients(batch(2, 33, 7)[0], np.zeros(2, bool))


def test_a_single_value_per_channel() -> None:
    _, model = small(widths=(12, 20, 40, 8), depths=(1, 2, 1, 1))
    with pytest.raises(ValueError, match="more than one value"):
        model.loss_and_gradients(batch(1, 32, 7)[0], np.zeros(1, int))

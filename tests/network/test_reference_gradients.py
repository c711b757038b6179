"""Gradients of whole networks by the float64 reference, against PyTorch's autograd in float64."""

from __future__ import annotations

from collections.abc import Callable

import mobileone
import numpy as np
import pytest
import torch_mobilevit
from cases import images
from gradient_cases import FLOAT32_BOUND, assert_gradient, autograd, with_constant_statistics
from mobileone import _core
from mobilevit_cases import FLOAT64, engine_model
from numpy.typing import NDArray
from torch import nn
from torch_mobileone import Config, MobileOne, create, randomize

# float64's errors grow as float32's do.
BOUND = FLOAT32_BOUND * FLOAT64

# Stages like those of S0, narrow, with four branches; and squeeze-and-excitation.
BRANCHES = Config(8, (8, 16, 24), (2, 2, 1), 4, num_classes=10)
SE = Config(8, (8, 17), (2, 1), 1, {"stage2.0": 3, "stage2.1": 5}, num_classes=7)


def small(config: Config) -> MobileOne:
    return randomize(MobileOne(config), seed=3)


NETWORKS: dict[str, tuple[Callable[[], nn.Module], int, tuple[int, int]]] = {
    "branches": (lambda: small(BRANCHES), 4, (64, 48)),
    "se": (lambda: small(SE), 3, (40, 35)),
    "mobileone_mu0": (lambda: create("mobileone_mu0"), 4, (64, 64)),
    "mobilevit_small": (lambda: torch_mobilevit.create(torch_mobilevit.SMALL), 2, (64, 75)),
    "mobilevit_xxs": (lambda: torch_mobilevit.create("mobilevit_xxs"), 4, (64, 64)),
}


def engine_of(module: nn.Module) -> mobileone.Model:
    return mobileone.load(module) if isinstance(module, MobileOne) else engine_model(module)


def soft_targets(count: int, classes: int) -> NDArray:
    weights = np.random.default_rng(1).random((count, classes))
    return weights / weights.sum(1, keepdims=True)


def compare(
    module: nn.Module, x: NDArray, targets: NDArray, smoothing: float, *, training: bool
) -> None:
    network = engine_of(module).network
    loss, weights, inputs, statistics = _core.reference_gradients(
        network, x, targets, label_smoothing=smoothing, training=training
    )
    wanted, gradients, by_input, state = autograd(module, x, targets, smoothing, training=training)
    fixed = with_constant_statistics(module, x)
    _, terms, input_terms, _ = autograd(fixed, x, targets, smoothing, training=False)
    assert abs(loss - wanted) <= BOUND * wanted
    assert set(weights) == set(gradients)
    for name, gradient in gradients.items():
        assert_gradient(weights[name], gradient, terms[name], BOUND, name)
    assert set(inputs) == {"input"}
    assert_gradient(inputs["input"], by_input, input_terms, BOUND, "input")
    assert set(statistics) == ({k for k in state if "running_" in k} if training else set())
    for name, values in statistics.items():
        assert_gradient(values, state[name], state[name], BOUND, name)


@pytest.mark.parametrize("name", NETWORKS)
def test_training_gradients_equal_autograd(name: str) -> None:
    make, batch, size = NETWORKS[name]
    module, x = make(), images(batch, size)
    labels = np.arange(batch) * 2 % module.config.num_classes
    compare(module, x, labels, 0.0, training=True)


@pytest.mark.parametrize("name", ["se", "mobilevit_small"])
def test_gradients_of_running_statistics_and_soft_targets(name: str) -> None:
    make, batch, size = NETWORKS[name]
    module, x = make(), images(batch, size)
    compare(module, x, soft_targets(batch, 7), 0.1, training=False)


def test_dropped_elements_have_no_gradient() -> None:
    p = 0.5
    model = mobileone.create_model("mobilevit_xxs", classifier_dropout=p, num_classes=3)
    x, labels = images(2, (64, 64)), np.array([0, 2])
    node = next(n for n in model.graph.nodes if n["name"] == "classifier.dropout")
    (features,), _ = _core.reference_forward(
        model.network, x, [node["name"]], training=True, dropout_seed=5
    )
    _, weights, _, _ = _core.reference_gradients(model.network, x, labels, dropout_seed=5)
    _, others, _, _ = _core.reference_gradients(model.network, x, labels, dropout_seed=6)
    dropped = (features == 0).all(0).ravel()  # in both images
    assert dropped.any()
    assert not weights["classifier.fc.weight"][:, dropped].any()
    assert others["classifier.fc.weight"][:, dropped].any()


@pytest.mark.parametrize(
    ("targets", "options", "message"),
    [
        (np.array([0, 7]), {}, "label 1 is 7; expected 0 to 6"),
        (np.array([0.0, 1.0]), {}, "dtype of kind 'f'; expected integers"),
        (np.zeros((1, 7)), {}, r"targets have shape \(1, 7\); expected \(2, 7\)"),
        (np.array([0, 1, 2]), {}, r"targets have shape \(3, 7\); expected \(2, 7\)"),
        (np.array([0, 1]), {"label_smoothing": -1.0}, "label_smoothing is -1"),
    ],
)
def test_targets_that_do_not_fit(targets: NDArray, options: dict, message: str) -> None:
    network = engine_of(small(SE)).network
    with pytest.raises(ValueError, match=message):
        _core.reference_gradients(network, images(2, (16, 16)), targets, **options)

"""MobileViT's gradients by the engine's training step, against PyTorch's autograd in float64."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import images
from gradient_cases import FLOAT32_BOUND, assert_gradient, autograd, with_constant_statistics
from mobileone import _core
from mobileone.network.training_step import TrainingStep
from mobilevit_cases import engine_model
from numpy.typing import NDArray
from torch_mobilevit import SMALL, create

DROPPING = replace(SMALL, dropout=0.2, ffn_dropout=0.3, classifier_dropout=0.4)


def gradients(
    model: mobileone.Model, x: NDArray, labels: NDArray, threads: int, path: Any = "auto"
) -> tuple[float, dict[str, NDArray]]:
    step = TrainingStep(model._session, threads=threads, train_path=path)
    loss, found = step.loss_and_gradients(x, labels, label_smoothing=0.1)
    return loss, {name: np.array(value) for name, value in found.items()}


# The small one's maps are no multiples of its patches: they are resized.
@pytest.mark.parametrize(
    ("name", "batch", "size"), [("small", 3, (64, 75)), ("mobilevit_xxs", 4, (64, 64))]
)
@pytest.mark.parametrize("path", ["auto", "branches"])
def test_gradients_equal_autograd(name: str, batch: int, size: tuple[int, int], path: str) -> None:
    module = create(SMALL if name == "small" else name, seed=2)
    x, labels = images(batch, size), np.arange(batch) * 2 % module.config.num_classes
    loss, found = gradients(engine_model(module), x, labels, 2, path)
    expected_loss, expected, _, _ = autograd(module, x, labels, 0.1, training=True)
    fixed = with_constant_statistics(module, x)
    _, terms, _, _ = autograd(fixed, x, labels, 0.1, training=False)
    assert abs(loss - expected_loss) <= FLOAT32_BOUND * expected_loss
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_gradient(found[key], value, terms[key], FLOAT32_BOUND, key)


def test_gradients_pass_the_elements_that_dropout_keeps() -> None:
    module = create(DROPPING, seed=2)
    model = engine_model(module)
    x, labels = images(2, (64, 75)), np.array([1, 4])
    loss, found = gradients(model, x, labels, 1)
    expected_loss, expected, _, _ = _core.reference_gradients(
        model.network, x, labels, label_smoothing=0.1
    )
    assert abs(loss - expected_loss) <= FLOAT32_BOUND * expected_loss
    fixed = with_constant_statistics(module, x)
    _, terms, _, _ = autograd(fixed, x, labels, 0.1, training=False)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_gradient(found[key], value, terms[key], FLOAT32_BOUND, key)


def test_any_number_of_threads_gives_the_same_bits() -> None:
    model = engine_model(create(DROPPING, seed=2))
    x, labels = images(3, (64, 75)), np.array([1, 4, 0])
    loss, expected = gradients(model, x, labels, 1)
    for threads in (2, 3):
        other, found = gradients(model, x, labels, threads)
        assert other == loss
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value, err_msg=key)

"""Teachers: their mean probabilities, and which ones are refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from cases import MOBILEONE
from mobileone.data.config import DataConfig
from mobileone.train.distillation import check_teachers, entropy, teachers_probabilities
from mobileone.train.trainer import Trainer

from .nets import assert_same, quick, small_model, stripes, weights

X = np.random.default_rng(0).standard_normal((5, 3, 32, 32)).astype(np.float32)


def test_the_mean_of_probabilities_of_models_and_functions() -> None:
    model = MOBILEONE.make("inference", seed=1)

    def function(x: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(x.mean((2, 3)) @ np.ones((3, 7), np.float32) * np.arange(7))

    found = teachers_probabilities([model, function], X, 7)
    logits = [torch.from_numpy(model(X)), function(X)]
    expected = sum(torch.softmax(one.double(), 1) for one in logits) / 2
    np.testing.assert_allclose(found, expected.numpy(), rtol=0, atol=2.0**-24)
    assert found.dtype == np.float32
    divergence = torch.nn.functional.kl_div(
        torch.zeros(5, 7), torch.from_numpy(found), reduction="sum"
    )
    assert entropy(found) == pytest.approx(-float(divergence) / 5, rel=1e-5)


def test_the_entropy_of_certainty_is_zero() -> None:
    assert entropy(np.eye(4)) == 0


def test_teachers_that_cannot_teach_are_named() -> None:
    model = MOBILEONE.make()
    own = model.data_config
    check_teachers([model, lambda x: x], own, 7)
    with pytest.raises(ValueError, match=r"teachers\[1\] expects images of std .* student of"):
        check_teachers([len, model], replace(own, std=(1.0, 1.0, 1.0)), 7)
    with pytest.raises(ValueError, match=r"teachers\[0\] has 7 classes; expected the student's 8"):
        check_teachers([model], own, 8)
    with pytest.raises(
        TypeError, match=r"teachers\[1\] is a torch module; expected mobileone.load"
    ):
        check_teachers([model, torch.nn.Flatten()], own, 7)  # type: ignore[list-item]
    with pytest.raises(TypeError, match=r"teachers\[0\] is a str"):
        check_teachers(["mobileone_s0"], DataConfig(), 7)  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"teachers\[0\] gave an array of shape \(5, 9\)"):
        teachers_probabilities([lambda x: np.zeros((5, 9))], X, 7)


def test_a_published_model_teaches_another_of_its_kind() -> None:
    teacher = mobileone.create_model("mobileone_mu0", num_classes=4)
    check_teachers([teacher], mobileone.create_model("mobileone_mu1").data_config, 4)


def test_a_model_teaches_in_eval_mode_as_it_was_and_stays_so() -> None:
    images, labels = stripes()
    x = images.transpose(0, 3, 1, 2).astype(np.float32) / 127.5 - 1

    def taught(by: Any) -> dict[str, np.ndarray]:
        student = small_model(seed=5)
        Trainer(student, quick(epochs=2), teachers=[by], progress=False).fit((x, labels))
        return weights(student)

    teacher, copy = small_model(seed=9), small_model(seed=9)
    before = weights(teacher)
    expected = taught(copy)  # in eval mode
    teacher.train()
    assert_same(taught(teacher), expected)
    assert_same(weights(teacher), before)
    assert teacher.training
    own = small_model(seed=5)  # which learns from itself as it was
    first = small_model(seed=5)
    Trainer(own, quick(epochs=2), teachers=[own], progress=False).fit((x, labels))
    assert_same(weights(own), taught(first))

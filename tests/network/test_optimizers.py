"""The engine's optimizers against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mobileone._core import adamw_update, sgd_update

SHAPES = ((3, 5, 3, 3), (7,), (40000,), (1,))
DECAYS = [1e-2, 0.0, 3e-2, 0.0]
STEPS = 5


def start() -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    random = np.random.default_rng(0)
    weights = [random.standard_normal(shape, dtype=np.float32) for shape in SHAPES]
    gradients = [
        [random.standard_normal(shape, dtype=np.float32) for shape in SHAPES] for _ in range(STEPS)
    ]
    return weights, gradients


def expected(make: type[torch.optim.Optimizer], **how: object) -> list[np.ndarray]:
    """In float64."""
    weights, gradients = start()
    tensors = [torch.from_numpy(w.astype(np.float64)).requires_grad_() for w in weights]
    groups = [{"params": [t], "weight_decay": d} for t, d in zip(tensors, DECAYS, strict=True)]
    optimizer = make(groups, **how)  # type: ignore[call-arg]
    for step in gradients:
        for tensor, gradient in zip(tensors, step, strict=True):
            tensor.grad = torch.from_numpy(gradient.astype(np.float64))
        optimizer.step()
    return [tensor.detach().numpy() for tensor in tensors]


def zeros() -> list[np.ndarray]:
    return [np.zeros(shape, np.float32) for shape in SHAPES]


@pytest.mark.parametrize("nesterov", [False, True])
def test_sgd(nesterov: bool) -> None:
    results = []
    for threads in (1, 3):
        weights, gradients = start()
        momenta = zeros()
        for step in gradients:
            sgd_update(weights, step, momenta, DECAYS, 0.1, 0.9, nesterov, threads)
        results.append(weights)
    found = expected(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=nesterov)
    for one, three, wanted in zip(*results, found, strict=True):
        np.testing.assert_array_equal(one, three)
        # Five steps of a handful of roundings of numbers of order one.
        np.testing.assert_allclose(one, wanted, rtol=0, atol=32 * 2.0**-24 * np.abs(wanted).max())


def test_adamw() -> None:
    results = []
    for threads in (1, 3):
        weights, gradients = start()
        means, squares = zeros(), zeros()
        for index, step in enumerate(gradients):
            adamw_update(
                weights, step, means, squares, DECAYS, 0.1, (0.9, 0.99), 1e-8, index + 1, threads
            )
        results.append(weights)
    found = expected(torch.optim.AdamW, lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    for one, three, wanted in zip(*results, found, strict=True):
        np.testing.assert_array_equal(one, three)
        np.testing.assert_allclose(one, wanted, rtol=0, atol=64 * 2.0**-24 * np.abs(wanted).max())


def test_arrays_that_do_not_fit() -> None:
    weights, gradients = start()
    with pytest.raises(ValueError, match=r"\[optimizer\] 4 weights, 3 gradients"):
        sgd_update(weights, gradients[0][:3], zeros(), DECAYS, 0.1, 0.9)
    wrong = [np.zeros((2, 2), np.float32), *zeros()[1:]]
    with pytest.raises(ValueError, match=r"gradient 0 is float32 \(2, 2\)"):
        sgd_update(weights, wrong, zeros(), DECAYS, 0.1, 0.9)

"""Gradients by PyTorch's autograd in float64, and how near to them others must be."""

from __future__ import annotations

import copy

import numpy as np
import torch
from cases import exact
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional as F

# What float32's gradients may be off, relative in the L2 norm: twelve deviations of u sqrt(n / 2),
# the error of a sum of n terms (docs/verification.md), for n = 4096 pixels of a batch and the some
# 600 steps there and back of the deepest networks here. Measured: MobileOne-mu0 6e-6, S0 2e-5,
# S4 5e-5.
FLOAT32_BOUND = 1e-3


def autograd(
    module: nn.Module, x: NDArray, targets: NDArray, smoothing: float, *, training: bool
) -> tuple[float, dict[str, NDArray], NDArray, dict[str, NDArray]]:
    """The loss, its gradients by parameters and by x, and the state after the step."""
    module = copy.deepcopy(module).train(training)
    given = exact(x).requires_grad_()
    loss = F.cross_entropy(module(given), torch.from_numpy(targets), label_smoothing=smoothing)
    loss.backward()
    assert given.grad is not None
    gradients = {k: p.grad.numpy() for k, p in module.named_parameters() if p.grad is not None}
    state = {k: v.numpy() for k, v in module.state_dict().items()}
    return loss.item(), gradients, given.grad.numpy(), state


def with_constant_statistics(module: nn.Module, x: NDArray) -> nn.Module:
    """A copy whose batch norms hold the statistics of `x` as constants."""
    module = copy.deepcopy(module).train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module(exact(x))
    return module.eval()


def assert_gradient(
    found: NDArray, expected: NDArray, terms: NDArray, bound: float, name: str
) -> None:
    """Relative to what is summed: a batch norm takes away a shift and a factor of what it reads, so
    that gradients by these are sums that cancel. Held constant, its statistics cancel nothing."""
    assert found.shape == expected.shape == terms.shape
    scale = np.linalg.norm(expected) + np.linalg.norm(terms)
    assert np.linalg.norm(found - expected) <= bound * scale, name

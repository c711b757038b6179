"""Blocks and networks with parallel branches, and comparison with PyTorch's own branches."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

import mobileone.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_mobileone import Config, MobileOne


class Block(nn.Module):
    """A sum of branches, some of them with a bias or another kernel; then ReLU."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernels: tuple[int, ...],
        *,
        stride: int = 1,
        groups: int = 1,
        dilation: int = 1,
        identity: bool = False,
        bias: bool = False,
        **norm: Any,
    ) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(c_out, **norm) for _ in kernels)
        self.convs = nn.ModuleList(
            nn.Conv2d(
                c_in,
                c_out,
                k,
                stride,
                dilation * (k // 2),
                dilation if k > 1 else 1,
                groups,
                bias=bias,
            )
            for k in kernels
        )
        self.identity = nn.BatchNorm2d(c_out, **norm) if identity else None

    def forward(self, x: Tensor) -> Tensor:
        total: Any = 0 if self.identity is None else self.identity(x)
        for conv, norm in zip(self.convs, self.norms, strict=True):
            total = total + norm(conv(x))
        return F.relu(total)


def small_mobileone() -> MobileOne:
    """Every kind of block of the paper's networks, with squeeze-and-excitation in one."""
    return MobileOne(Config(6, (8, 12), (2, 1), 3, {"stage1.1": 2}, num_classes=5))


def randomized(module: nn.Module, seed: int = 0) -> nn.Module:
    """In float64 and train mode, of the seed; no norm is near the identity, some gammas < 0."""
    generator = torch.Generator().manual_seed(seed)
    module.double().train()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm2d):
                ranges = (part.weight, -0.5, 1.5), (part.bias, -0.5, 0.5)
            elif isinstance(part, (nn.Conv2d, nn.Linear)):
                limit = part.weight[0].numel() ** -0.5
                ranges = (part.weight, -limit, limit), (part.bias, -limit, limit)
            else:
                continue
            for values, low, high in ranges:
                if values is not None:
                    drawn = torch.rand(values.shape, generator=generator, dtype=values.dtype)
                    values.copy_(low + (high - low) * drawn)
    return module


def noise(*shape: int, seed: int = 1, mean: float = 0.5, std: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return mean + std * torch.randn(*shape, generator=generator, dtype=torch.float64)


class Step(NamedTuple):
    """What a forward and a backward leave behind."""

    output: Tensor
    input_gradient: Tensor
    gradients: dict[str, Tensor]
    buffers: dict[str, Tensor]

    def items(self) -> Iterator[tuple[str, Tensor]]:
        yield "output", self.output
        yield "input", self.input_gradient
        yield from self.gradients.items()
        yield from self.buffers.items()

    def double(self) -> Step:
        """The same in float64, but for counts."""

        def of(values: dict[str, Tensor]) -> dict[str, Tensor]:
            return {k: v.double() if v.is_floating_point() else v for k, v in values.items()}

        x, gradient = self.output.double(), self.input_gradient.double()
        return Step(x, gradient, of(self.gradients), of(self.buffers))


def step(module: nn.Module, x: Tensor, seed: int = 2) -> Step:
    """Outputs against a fixed random cotangent, so that no gradient vanishes by symmetry."""
    x = x.detach().clone().requires_grad_()
    module.zero_grad(set_to_none=True)
    output = module(x)
    cotangent = noise(*output.shape, seed=seed, mean=0).to(output.dtype)
    (output * cotangent).sum().backward()
    gradients = {k: p.grad for k, p in module.named_parameters() if p.grad is not None}
    assert x.grad is not None
    return Step(
        output.detach(), x.grad, gradients, {k: b.clone() for k, b in module.named_buffers()}
    )


def accelerated(module: nn.Module, path: Any = "moments") -> nn.Module:
    return mobileone.torch.accelerate(copy.deepcopy(module), train_path=path)


def assert_same(found: Step, expected: Step, tolerance: float, cancelled: float = 1e-6) -> None:
    """Relative L2 of everything; of gradients that cancel to that part of the largest, to it."""
    assert found.gradients.keys() == expected.gradients.keys()
    largest = max((float(g.norm()) for g in expected.gradients.values()), default=0.0)
    for (name, value), (_, wanted) in zip(found.items(), expected.items(), strict=True):
        assert value.shape == wanted.shape, name
        assert value.dtype == wanted.dtype, name
        error = float((value - wanted).double().norm())
        scale = float(wanted.double().norm())
        if name in expected.gradients and scale < cancelled * largest:
            scale = largest
        assert error <= tolerance * scale, f"{name}: {error / max(scale, 1e-300):.2e}"

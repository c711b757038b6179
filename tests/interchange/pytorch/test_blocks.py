"""Every kind of block on the moments path against autograd through its branches, in float64."""

from __future__ import annotations

import copy
from typing import Any

import mobileone.torch
import pytest
import torch
from torch import nn

from .blocks import Block, accelerated, assert_same, noise, randomized, step

TOLERANCE = 1e-10

BLOCKS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "pointwise": ((6, 6, (1, 1, 1, 1)), {"identity": True}),
    "pointwise, one branch and identity": ((6, 6, (1,)), {"identity": True}),
    "pointwise wider": ((6, 10, (1, 1)), {}),
    "pointwise, in symmetric blocks": ((193, 5, (1, 1)), {}),
    "pointwise strided": ((6, 10, (1, 1)), {"stride": 2}),
    "pointwise grouped": ((6, 12, (1, 1)), {"groups": 3}),
    "depthwise": ((6, 6, (1, 3, 3, 3)), {"groups": 6, "identity": True}),
    "depthwise strided": ((6, 6, (1, 3, 3)), {"groups": 6, "stride": 2}),
    "depthwise, two outputs": ((4, 8, (3, 3)), {"groups": 4}),
    "depthwise 5": ((4, 4, (1, 3, 5)), {"groups": 4, "identity": True}),
    "depthwise dilated": ((4, 4, (1, 3)), {"groups": 4, "dilation": 2, "identity": True}),
    "stem": ((3, 8, (1, 3)), {"stride": 2}),
    "dense": ((5, 5, (1, 3)), {"identity": True}),
    "grouped": ((6, 6, (1, 3)), {"groups": 2, "identity": True}),
    "with biases": ((6, 6, (1, 3)), {"groups": 6, "identity": True, "bias": True}),
    "no affine": ((6, 6, (1, 3)), {"groups": 6, "affine": False}),
    "average of all": ((6, 6, (1, 1)), {"identity": True, "momentum": None}),
    "no running statistics": ((6, 6, (1, 1)), {"track_running_stats": False}),
    "epsilon": ((6, 6, (1, 1)), {"eps": 0.3, "momentum": 0.7}),
}
SIZES = ((1, 5, 7), (3, 1, 4), (2, 13, 6), (4, 2, 1))


@pytest.mark.parametrize("name", BLOCKS)
def test_same_as_the_branches(name: str) -> None:
    """Outputs, every gradient and buffer, over steps in train and eval mode; awkward sizes."""
    positional, options = BLOCKS[name]
    for images, *size in SIZES:
        block = randomized(Block(*positional, **options))
        ours = accelerated(block)
        assert list(ours.state_dict()) == list(block.state_dict())
        for training in (True, True, False):
            block.train(training)
            ours.train(training)
            x = noise(images, positional[0], *size, seed=size[0])
            assert_same(step(ours, x), step(block, x), TOLERANCE)


def test_norms_of_either_mode_in_one_block() -> None:
    """Some norms frozen (their eval mode), some with batch statistics; then the other way round."""
    block = randomized(Block(6, 6, (1, 3, 3), groups=6, identity=True, bias=True))
    step(block, noise(2, 6, 5, 5))
    ours = accelerated(block)
    for frozen in ((0, 2), (1,), (0, 1, 2)):
        for module in (block, ours):
            module.train()
            for index in frozen:
                module.norms[index].eval()
        x = noise(2, 6, 5, 8)
        assert_same(step(ours, x), step(block, x), TOLERANCE)


def test_gamma_of_zero_and_frozen_parameters() -> None:
    block = randomized(Block(6, 6, (1, 1), identity=True))
    with torch.no_grad():
        block.norms[0].weight.zero_()
        block.norms[1].weight[2] = 0
    block.convs[1].weight.requires_grad_(False)
    block.norms[1].bias.requires_grad_(False)
    x = noise(2, 6, 4, 5)
    found = step(accelerated(block), x)
    assert_same(found, step(block, x), TOLERANCE)
    assert "convs.1.weight" not in found.gradients


@pytest.mark.parametrize("kernels", [(1, 1), (1, 3)])
def test_variance_near_zero(kernels: tuple[int, ...]) -> None:
    """A constant channel, and weights that see it only: epsilon is all that is under the root."""
    block = randomized(Block(4, 4, kernels, groups=4, identity=True))
    x = noise(2, 4, 6, 6)
    x[:, 1] = 0
    x[:, 2] = 1e-9 * x[:, 2]
    assert_same(step(accelerated(block), x), step(block, x), TOLERANCE)


def test_input_without_gradient() -> None:
    block = randomized(Block(3, 8, (1, 3), stride=2))
    ours = accelerated(block)
    x = noise(2, 3, 9, 9)
    for module in (block, ours):
        module(x).square().sum().backward()
    for (name, p), q in zip(block.named_parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(q.grad, p.grad, rtol=1e-9, atol=1e-9, msg=name)


def test_one_value_per_channel_is_refused() -> None:
    """As by PyTorch; one image of several pixels is not (`test_same_as_the_branches`)."""
    block = randomized(Block(3, 3, (1, 1)))
    for module in (block, accelerated(block)):
        with pytest.raises(ValueError, match="more than 1 value per channel"):
            module(noise(1, 3, 1, 1))


KINDS = {
    "pointwise": Block(8, 8, (1, 1, 1), identity=True),
    "depthwise": Block(8, 8, (1, 3, 3), groups=8, identity=True),
    "strided": Block(8, 8, (1, 3, 3), groups=8, stride=2),
    "stem": Block(3, 8, (1, 3), stride=2),
}


@pytest.mark.parametrize("ratio", [0.5, 100])
@pytest.mark.parametrize("kind", KINDS)
def test_float32_does_not_cancel(kind: str, ratio: float) -> None:
    """float32 against float64 at mean / std = 0.5 and 100.

    y = W x + b cancels terms |W| |x|, ``ratio`` standard deviations: each is off by the roundings
    of W, b and the products, in all a few u (1 + ratio) of the taps' number t, in any order of
    summation at most t u. Variances relative to themselves: they are sums of squares of differences
    from the mean, off by u ratio in the shift (of no effect to first order) and by t u √M at most
    in the sums. Sums of raw squares would be off by u ratio², 6e-4, times √M: they fail.
    """
    block = randomized(copy.deepcopy(KINDS[kind]))
    channels, taps = block.convs[0].in_channels, block.convs[-1].weight[0].numel()
    x = noise(4, channels, 24, 24, mean=ratio)
    x = x.float().double()  # the same numbers in both
    block.float().double()
    single = accelerated(block).float()
    expected = step(block, x)
    found = step(single, x.float())
    u, count = 2.0**-24, 4 * 24 * 24
    output = 4 * taps * u * (1 + ratio)
    statistics = 4 * taps * u * count**0.5
    for name, value in found.buffers.items():
        if not name.endswith("running_var"):
            continue
        error = (value.double() - expected.buffers[name]).abs() / expected.buffers[name]
        assert float(error.max()) <= statistics, (name, float(error.max()))
    error = (found.output.double() - expected.output).norm() / expected.output.norm()
    assert float(error) <= output, float(error)


def test_path_by_name() -> None:
    block = randomized(Block(6, 6, (1, 1), identity=True))
    x = noise(2, 6, 4, 4)
    expected = step(copy.deepcopy(block), x)
    for path in ("auto", "moments", "branches"):
        found = step(accelerated(block, path), x)
        assert_same(found, expected, TOLERANCE)
        if path == "branches":
            assert torch.equal(found.output, expected.output)
    with pytest.raises(ValueError, match=r"train_path is 'fast'; expected one of auto, moments"):
        mobileone.torch.accelerate(block, train_path="fast")


def test_gradients_by_central_differences() -> None:
    """Independent of any branch: the gradient of the moments path is its own derivative."""
    for kind in ("pointwise", "depthwise", "strided"):
        block = accelerated(randomized(copy.deepcopy(KINDS[kind])))
        block.identity = block.identity if kind != "strided" else None
        block.forward = _without_relu(block)
        x = noise(2, 8, 4, 5).requires_grad_()
        assert torch.autograd.gradcheck(lambda x, b=block: b.merged_branches(x), (x,))


def _without_relu(block: nn.Module) -> Any:
    return block.merged_branches

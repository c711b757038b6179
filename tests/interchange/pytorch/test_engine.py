"""Sums of branches on the engine's kernels, in float32, against PyTorch's operators in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mobileone import _core
from mobileone.interchange.torch import engine, patches
from mobileone.interchange.torch.geometry import Geometry
from torch import Tensor
from torch.nn import functional as F

from .blocks import Block, accelerated, assert_same, noise, randomized, step
from .test_blocks import BLOCKS

SIZES = ((1, 1, 3), (2, 5, 7), (3, 6, 4), (2, 17, 16), (1, 23, 31))
U = 2.0**-24


def depthwise(channels: int, stride: int) -> Geometry:
    pair = (stride, stride)
    return Geometry((channels, channels), (3, 3), pair, (1, 1), (1, 1), channels)


GEOMETRIES = {
    **{f"depthwise {c}, stride {s}": depthwise(c, s) for c in (1, 6, 16, 19) for s in (1, 2)},
    **{
        f"pointwise {i} to {o}": Geometry((i, o), (1, 1))
        for i, o in ((1, 1), (6, 10), (16, 32), (19, 5), (70, 33))
    },
    "pointwise, strided": Geometry((6, 10), (1, 1), (2, 2)),
    "stem": Geometry((3, 20), (3, 3), (2, 2), (1, 1)),
    "dense": Geometry((5, 7), (3, 3), (1, 1), (1, 1)),
}


def operands(geometry: Geometry, images: int, size: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """Of a convolution: x, weight, bias."""
    x = noise(images, geometry.channels[0], *size, seed=size[1])
    weight = noise(geometry.channels[1], geometry.group_in, *geometry.kernel, seed=6, mean=0)
    return x.float(), weight.float(), noise(geometry.channels[1], seed=7).float()


@pytest.mark.parametrize("name", GEOMETRIES)
def test_moments(name: str) -> None:
    """Off by a few roundings of a sum of so many terms, of their size, in any order."""
    geometry = GEOMETRIES[name]
    for images, *size in SIZES:
        x, *_ = operands(geometry, images, size)
        assert engine.takes(x, geometry, torch.float32, gradient=False)
        assert not engine.takes(x, geometry, torch.float64, gradient=False)
        rows, columns = geometry.output_size(*size)
        bound = 4 * images * rows * columns * U
        mean, covariance = engine.moments(x, geometry)
        wanted, of_wanted = patches.moments(x.double(), geometry, torch.float64)
        # The covariance's terms are of differences from the channel's mean, padding too.
        largest = float((x.abs().max() * 2) ** 2)
        assert float((mean - wanted).abs().max()) <= bound * largest**0.5
        assert float((covariance - of_wanted).abs().max()) <= bound * largest
        assert torch.equal(covariance, covariance.mT)


@pytest.mark.parametrize("name", GEOMETRIES)
def test_convolution_and_its_weights(name: str) -> None:
    """A product and an addition are rounded per term, and each part once more as it is added."""
    geometry = GEOMETRIES[name]
    for images, *size in SIZES:
        x, weight, bias = operands(geometry, images, size)
        tensors = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
        geometries = geometry.stride, geometry.padding, geometry.dilation, geometry.groups
        wanted = F.conv2d(*tensors, *geometries)
        g = noise(*wanted.shape, seed=8).float()
        dx, dweight, dbias = torch.autograd.grad(wanted, tensors, g.double())

        found = engine.convolution(x, weight, bias, geometry)
        terms = (geometry.taps + 2) * U
        terms_of = [tensor.detach().abs() for tensor in tensors]
        magnitude = F.conv2d(*terms_of, *geometries)
        assert bool(((found - wanted).abs() <= terms * magnitude).all())

        of_weight, of_bias = engine.weight_gradient(x, g, geometry)
        count = images * wanted[0, 0].numel() + 2
        largest = float(x.abs().max() * g.abs().max())
        assert float((of_weight - dweight).abs().max()) <= count**2 * U * largest
        assert float((of_bias - dbias).abs().max()) <= count**2 * U * float(g.abs().max())

        if not engine.takes(x, geometry, torch.float32):
            continue
        zeros = torch.zeros(geometry.groups, geometry.taps)
        s = torch.zeros(geometry.groups, geometry.taps, geometry.taps)
        through = engine.gradient(x, geometry, zeros, None, s, zeros, (g, weight))
        inputs = geometry.group_out * geometry.area
        largest = float(weight.abs().max() * g.abs().max())
        assert float((through - dx).abs().max()) <= inputs * (inputs + 2) * U * largest


@pytest.mark.parametrize("name", GEOMETRIES)
def test_gradient_of_the_moments(name: str) -> None:
    geometry = GEOMETRIES[name]
    taps = geometry.taps
    for images, *size in SIZES:
        x, weight, _ = operands(geometry, images, size)
        if not engine.takes(x, geometry, torch.float32):
            assert name == "pointwise, strided" or not geometry.is_pixelwise
            return
        mean = patches.moments(x.double(), geometry, torch.float64)[0].float()
        s = noise(geometry.groups, taps, taps, seed=3)
        s = (s + s.mT).float()
        constant = noise(geometry.groups, taps, seed=4).float()
        g = noise(len(x), geometry.channels[1], *geometry.output_size(*size), seed=9).float()
        for grad in (noise(*x.shape, seed=5).float(), None):
            doubles = None if grad is None else grad.double()
            expected = patches.gradient(
                x.double(), geometry, mean.double(), doubles, s.double(), constant.double()
            )
            # As many products and differences, and each patch has an element per tap in x.
            terms = geometry.area * float(
                s.abs().sum(2).max() * (x.abs().max() + mean.abs().max()) * 2
            )
            terms += geometry.area * float(constant.abs().max()) + 10
            rounds = taps * geometry.area + 20
            found = engine.gradient(x, geometry, mean, grad, s, constant)
            assert float((found - expected).abs().max()) <= rounds * U * terms
            # With the convolution's own in the same pass.
            own = torch.nn.grad.conv2d_input(
                list(x.shape),
                weight.double(),
                g.double(),
                geometry.stride,
                geometry.padding,
                geometry.dilation,
                geometry.groups,
            )
            found = engine.gradient(x, geometry, mean, grad, s, constant, (g, weight))
            inputs = geometry.group_out * geometry.area
            terms += inputs * float(weight.abs().max() * g.abs().max())
            assert float((found - expected - own).abs().max()) <= (rounds + inputs) * U * terms


@pytest.mark.parametrize("name", BLOCKS)
def test_blocks_in_float32(name: str) -> None:
    """Against branches in float64: some hundred terms of sums, scaled by 1 / sqrt(variance)."""
    positional, options = BLOCKS[name]
    for images, *size in ((3, 5, 7), (4, 17, 9)):
        block = randomized(Block(*positional, **options)).float().double()
        ours = accelerated(block).float()
        for _ in range(2):
            x = noise(images, positional[0], *size, seed=size[0]).float()
            found, expected = step(ours, x), step(block, x.double())
            assert_same(found.double(), expected, 1e-4, cancelled=1e-2)


def test_gradients_of_some_parameters_alone() -> None:
    """A backward that ends before the input leaves nothing for the next one."""
    block = randomized(Block(6, 6, (1, 1), identity=True)).float()
    ours = accelerated(block)
    x = noise(2, 6, 9, 8).float().requires_grad_()
    y = ours(x).square().sum()
    (first,) = torch.autograd.grad(y, [ours.norms[0].weight], retain_graph=True)
    together = torch.autograd.grad(y, [ours.norms[0].weight, x], retain_graph=True)
    again = torch.autograd.grad(y, [x])
    assert torch.equal(first, together[0])
    assert torch.equal(together[1], again[0])
    assert bool(together[1].any())


@pytest.mark.parametrize("name", ["depthwise 19, stride 2", "pointwise 70 to 33", "stem"])
def test_the_number_of_threads_changes_no_bit(name: str) -> None:
    geometry = GEOMETRIES[name]
    x, weight, bias = operands(geometry, 3, [29, 38])
    mean = noise(geometry.groups, geometry.taps, seed=3).float()
    s = noise(geometry.groups, geometry.taps, geometry.taps, seed=4).float()
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = engine.convolution(x, weight, bias, geometry)
            found = [y, *engine.moments(x, geometry), *engine.weight_gradient(x, y, geometry)]
            if engine.takes(x, geometry, torch.float32):
                through = y, weight
                found.append(engine.gradient(x, geometry, mean, x, s, mean, through))
            results.append(found)
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        for value, expected in zip(other, results[0], strict=True):
            assert torch.equal(value, expected)


def test_what_does_not_fit_is_refused() -> None:
    x = np.zeros((2, 3, 4, 5), np.float32)
    mean, covariance = np.zeros((3, 9), np.float32), np.zeros((3, 9, 9), np.float32)
    fits = depthwise(3, 1).as_list()
    _core.patch_moments(x, fits, mean, covariance)
    with pytest.raises(ValueError, match=r"\[geometry\] has 10 numbers; expected 11"):
        _core.patch_moments(x, fits[:-1], mean, covariance)
    with pytest.raises(ValueError, match=r"\[geometry\] is of another convolution; expected"):
        _core.patch_moments(x, depthwise(3, 3).as_list(), mean, covariance)
    with pytest.raises(ValueError, match=r"\[x\] has shape \(3, 4, 5\); expected \[N, 3, H, W\]"):
        _core.patch_moments(x[0], fits, mean, covariance)
    with pytest.raises(ValueError, match="mean"):
        _core.patch_moments(x, fits, mean[:2], covariance)
    with pytest.raises((ValueError, TypeError), match="x"):
        _core.patch_moments(x.astype(np.float64), fits, mean, covariance)
    large = Geometry((3, 3), (7, 7)).as_list()
    with pytest.raises(ValueError, match="smaller than the kernel"):
        _core.patch_moments(x, large, mean, covariance)
    dense, pixel = Geometry((3, 3), (3, 3)).as_list(), Geometry((3, 4), (1, 1)).as_list()
    one, square = np.zeros((1, 3), np.float32), np.zeros((1, 3, 3), np.float32)
    with pytest.raises(ValueError, match=r"\[geometry\] has a kernel, strides or padding"):
        _core.patch_input_gradient(x, dense, one, square, one, None, None, None, x.copy())
    with pytest.raises(ValueError, match=r"\[weight\] goes with g"):
        _core.patch_input_gradient(x, pixel, one, square, one, None, x, None, x.copy())
    strided = Geometry((3, 4), (1, 1), (2, 2)).as_list()
    with pytest.raises(ValueError, match=r"\[geometry\] has a kernel, strides or padding"):
        _core.patch_input_gradient(x, strided, one, square, one, None, None, None, x.copy())

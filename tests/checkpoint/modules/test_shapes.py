"""Results without elements have the shapes that PyTorch's functions give them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from mobileone.checkpoint.modules.shapes import result_without_elements
from torch.overrides import TorchFunctionMode

MAP, SAME, GATE = torch.randn(2, 6, 9, 8), torch.randn(2, 6, 9, 8), torch.rand(2, 6, 1, 1)
TOKENS, SQUARE, VECTOR = torch.randn(3, 5, 6), torch.randn(4, 6), torch.rand(6)
HEADS = torch.randn(2, 3, 5, 4)
WIDE, DEPTHWISE, POINT = torch.ones(4, 6, 3, 3), torch.ones(12, 1, 3, 3), torch.ones(4, 6, 1, 1)
CALLS: dict[str, Callable[[], Any]] = {
    "conv": lambda: F.conv2d(MAP, WIDE, None, (2, 1), (1, 0), (1, 2)),
    "conv of groups": lambda: F.conv2d(MAP, DEPTHWISE, groups=6, stride=2),
    "conv of a string": lambda: F.conv2d(MAP, WIDE, padding="same"),
    "conv of a list": lambda: F.conv2d(MAP, POINT, None, [2], [1]),
    "batch norm": lambda: F.batch_norm(MAP, VECTOR, VECTOR, VECTOR, VECTOR),
    "layer norm": lambda: F.layer_norm(TOKENS, (6,), VECTOR, VECTOR),
    **{
        name: lambda name=name: getattr(F, name)(MAP)
        for name in ("relu", "relu6", "silu", "gelu", "hardswish", "hardsigmoid", "leaky_relu")
    },
    "in place": lambda: F.relu(MAP.clone(), inplace=True),
    "in place by position": lambda: F.leaky_relu(MAP.clone(), 0.01, True),
    "relu_": lambda: MAP.clone().relu_(),
    "sigmoid_": lambda: MAP.clone().sigmoid_(),
    "sum": lambda: MAP + SAME,
    "sum with a number": lambda: 1 + MAP,
    "sum in place": lambda: MAP.clone().add_(SAME),
    "sum of types": lambda: MAP + SAME.double(),
    "gate": lambda: MAP * GATE,
    "gate first": lambda: GATE * MAP,
    "gate in place": lambda: MAP.clone().mul_(GATE),
    "quotient": lambda: torch.div(MAP, 2, rounding_mode="floor"),
    "linear": lambda: F.linear(TOKENS, SQUARE),
    "linear of a vector": lambda: F.linear(VECTOR, SQUARE),
    "pool": lambda: F.adaptive_avg_pool2d(MAP, 1),
    "pool of two": lambda: F.adaptive_avg_pool2d(MAP, (2, 3)),
    "mean": lambda: MAP.mean((2, 3)),
    "mean that keeps": lambda: MAP.mean((-2, -1), keepdim=True),
    "mean of one": lambda: MAP.mean(1),
    "attention": lambda: F.scaled_dot_product_attention(HEADS, HEADS, HEADS[..., :2]),
    "resize": lambda: F.interpolate(MAP, size=(4, 5), mode="bilinear"),
    "resize by a factor": lambda: F.interpolate(MAP, scale_factor=2),
    "resize of a row": lambda: F.interpolate(TOKENS, size=7),
}


class _Both(TorchFunctionMode):
    """Notes each outermost call's result and the one without elements."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        bare = [a.to("meta") if isinstance(a, torch.Tensor) else a for a in args]
        without = result_without_elements(func, func.__name__, bare, kwargs)
        result = func(*args, **kwargs)
        assert (result is args[0]) == (without is bare[0])
        self.pairs.append((result, without))
        return result


@pytest.mark.parametrize("name", CALLS)
def test_shapes_are_those_of_the_results(name: str) -> None:
    with _Both() as both:
        CALLS[name]()
    assert both.pairs
    for result, without in both.pairs:
        assert without.is_meta
        assert (without.shape, without.dtype) == (result.shape, result.dtype)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.conv2d(x, torch.ones(4, 5, 3, 3)),
        lambda x: F.conv2d(x, torch.ones(4, 6, 30, 30)),
        lambda x: x + torch.ones(2, 6, 9, 7),
        lambda x: F.linear(x, torch.ones(4, 9)),
        lambda x: bool(x.mean() > 0),
        lambda x: x.numpy(),
    ],
)
def test_what_pytorch_refuses_is_refused(call: Callable[[torch.Tensor], Any]) -> None:
    class Without(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):
            return result_without_elements(func, func.__name__, args, kwargs or {})

    with Without(), pytest.raises((RuntimeError, TypeError, NotImplementedError)):
        call(MAP.to("meta"))

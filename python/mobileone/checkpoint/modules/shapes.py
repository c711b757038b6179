"""Shapes of the results of PyTorch's functions, so that a module can be read without computing.

Tensors on PyTorch's meta device have no elements, and its functions take them. But some of those
that networks consist of need up to milliseconds there; the rules below take microseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from mobileone.checkpoint.modules.expressions import Shape

__all__ = ["result_without_elements"]

Rule = Callable[..., Shape | None]


def result_without_elements(func: Any, name: str, args: Any, kwargs: Any) -> Any:
    """What a function would return, of tensors without elements in the place of all tensors.

    Args:
        func: PyTorch's.
        name: its own `__name__`.
        args: as it is called with.
        kwargs: likewise.

    Raises:
        Exception: it needs elements, or does not take these arguments.
    """
    rule = _RULES.get(name)
    first = args[0] if args else None
    if rule is not None and isinstance(first, torch.Tensor) and "out" not in kwargs:
        try:
            shape = rule(*args, **kwargs)
        except (TypeError, ValueError):
            shape = None  # a form of the function that is not known here
        if shape is not None:
            if name in _IN_PLACE or kwargs.get("inplace"):
                return first
            return torch.empty(shape, dtype=first.dtype, device="meta")
    return func(*_without_elements(args), **_without_elements(kwargs))


def _without_elements(tree: Any) -> Any:
    if isinstance(tree, torch.Tensor):
        return tree if tree.is_meta else tree.to("meta")
    if isinstance(tree, dict):
        return {key: _without_elements(value) for key, value in tree.items()}
    if type(tree) in (tuple, list):
        return type(tree)(map(_without_elements, tree))
    return tree


def _norm(input: torch.Tensor, *_: Any, **__: Any) -> Shape:
    return tuple(input.shape)


def _convolution(
    input: torch.Tensor,
    weight: torch.Tensor,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Shape | None:
    pairs = (stride, padding, dilation)
    if input.ndim != 4 or input.shape[1] != groups * weight.shape[1]:
        return None
    if not all(type(pair) is tuple and len(pair) == 2 for pair in pairs):
        return None
    extents = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(input.shape[2:], weight.shape[2:], *pairs, strict=True)
    ]
    return (input.shape[0], weight.shape[0], *extents) if min(extents) > 0 else None


def _activation(input: torch.Tensor, *others: Any, **more: Any) -> Shape | None:
    """Of its input; None where an argument may say that it is done in place."""
    unclear = any(other is True for other in others) or not input.is_floating_point()
    return None if unclear else tuple(input.shape)


def _elementwise(a: torch.Tensor, b: Any, **_: Any) -> Shape | None:
    if not isinstance(b, torch.Tensor):
        return tuple(a.shape) if a.is_floating_point() and isinstance(b, float | int) else None
    if a.dtype != b.dtype:
        return None
    return tuple(a.shape if a.shape == b.shape else np.broadcast_shapes(a.shape, b.shape))


def _elementwise_in_place(a: torch.Tensor, b: Any, **_: Any) -> Shape | None:
    shape = _elementwise(a, b)
    return shape if shape == a.shape else None


def _linear(input: torch.Tensor, weight: torch.Tensor, bias: Any = None) -> Shape | None:
    fits = input.ndim > 1 and weight.ndim == 2 and input.shape[-1] == weight.shape[1]
    return (*input.shape[:-1], weight.shape[0]) if fits else None


def _pool(input: torch.Tensor, output_size: Any) -> Shape | None:
    whole = output_size in (1, (1, 1), [1, 1]) and input.ndim == 4
    return (*input.shape[:2], 1, 1) if whole else None


def _mean(input: torch.Tensor, dim: Any = None, keepdim: bool = False) -> Shape | None:
    """Over height and width."""
    if input.ndim != 4 or dim not in ((2, 3), [2, 3], (-2, -1), [-2, -1]):
        return None
    return (*input.shape[:2], 1, 1) if keepdim else tuple(input.shape[:2])


def _attention(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, **_: Any) -> Shape | None:
    alike = q.shape[:-2] == k.shape[:-2] == v.shape[:-2] and q.shape[-1] == k.shape[-1]
    return (*q.shape[:-1], v.shape[-1]) if alike and k.shape[-2] == v.shape[-2] else None


def _resize(
    input: torch.Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any
) -> Shape | None:
    is_size = type(size) in (tuple, list, torch.Size) and len(size) == 2 and input.ndim == 4
    whole = is_size and all(type(n) is int and n > 0 for n in size) and scale_factor is None
    return (*input.shape[:2], *size) if whole else None


_ACTIVATIONS = "relu relu6 silu gelu hardswish hardsigmoid leaky_relu sigmoid"
_ELEMENTWISE = "add mul div multiply true_divide __add__ __radd__ __mul__ __rmul__ __truediv__"
_ACTIVATIONS_IN_PLACE = ("relu_", "sigmoid_")
_ELEMENTWISE_IN_PLACE = ("add_", "mul_", "div_", "__iadd__", "__imul__", "__itruediv__")
_IN_PLACE = frozenset(_ACTIVATIONS_IN_PLACE + _ELEMENTWISE_IN_PLACE)
_RULES: dict[str, Rule] = {
    "conv2d": _convolution,
    **dict.fromkeys(("batch_norm", "layer_norm"), _norm),
    **dict.fromkeys((*_ACTIVATIONS.split(), *_ACTIVATIONS_IN_PLACE), _activation),
    **dict.fromkeys(_ELEMENTWISE_IN_PLACE, _elementwise_in_place),
    **dict.fromkeys(_ELEMENTWISE.split(), _elementwise),
    "linear": _linear,
    "adaptive_avg_pool2d": _pool,
    "mean": _mean,
    "scaled_dot_product_attention": _attention,
    "interpolate": _resize,
}

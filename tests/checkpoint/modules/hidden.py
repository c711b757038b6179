"""Modules that change memory past the functions that they call, or the weights themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from .altered import Alter, after


class Doubling(torch.Tensor):
    """Tensors whose activations are twice the usual."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = super().__torch_function__(func, types, args, kwargs)
        return made * 2 if func in (F.relu, F.silu, torch.relu) else made


def set_(out: torch.Tensor) -> None:
    out.set_(out * 1.5)


def data(out: torch.Tensor) -> None:
    out.data = out * 1.5


def storage(out: torch.Tensor) -> None:
    out.untyped_storage().copy_((out * 1.5).untyped_storage())


def by_numpy(out: torch.Tensor) -> None:
    array = out.detach().numpy()
    array *= 1.5


def of_many(out: torch.Tensor) -> None:
    torch._foreach_mul_([out], 1.5)


def given(out: torch.Tensor) -> None:
    torch.mul(out, 1.5, out=out)


def weights(change: Callable[[nn.Conv2d], Any]) -> Alter:
    """Done to the last dense convolution whenever it runs."""

    def alter(net: nn.Module) -> None:
        dense = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == 1]
        dense[-1].register_forward_pre_hook(lambda conv, _args: change(conv) and None)

    return alter


def grow(conv: nn.Conv2d) -> None:
    conv.weight.data.mul_(1.1)


def grow_without_gradients(conv: nn.Conv2d) -> None:
    with torch.no_grad():
        conv.weight *= 1.1


def grow_a_part(conv: nn.Conv2d) -> None:
    conv.weight.data[0] = 1


def replace(conv: nn.Conv2d) -> None:
    conv.weight.data = conv.weight * 1.1


HIDDEN: dict[str, tuple[Alter, str | None]] = {
    "set_": (after("stages.0", set_), "in place"),
    "data": (after("stages.0", data), "mul|data ="),
    "storage": (after("stages.0", storage), "outside of PyTorch"),
    "numpy": (after("stages.0", by_numpy), "outside of PyTorch"),
    "of many": (after("stages.0", of_many), "_foreach_mul_"),
    "given": (after("stages.0", given), "mul"),
    "class of its own": (after("stages.0", lambda out: out.as_subclass(Doubling)), "Doubling"),
    "class without": (
        after("stages.0", lambda out: out.as_subclass(type("Named", (torch.Tensor,), {}))),
        None,
    ),
    "weights scaled": (weights(grow), r"changes \S+\.weight \(mul\) in place"),
    "weights scaled, no grad": (weights(grow_without_gradients), r"changes \S+\.weight \(i?mul\)"),
    "weights in part": (weights(grow_a_part), r"changes \S+\.weight \(setitem\)"),
    "weights replaced": (weights(replace), r"changes \S+\.weight \(data =\)"),
}

"""Find a model's train-time blocks and put them on the moments path."""

from __future__ import annotations

from typing import TypeVar

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from mobileone.interchange.torch.block import PATHS, AcceleratedBlock, Path, install_found
from mobileone.interchange.torch.recognise import BranchSum, find_branch_sum, has_hooks

Model = TypeVar("Model", bound=nn.Module)


def accelerate(model: Model, *, train_path: Path = "auto") -> Model:
    """Compute the parallel branches of a model's blocks as one convolution each, in training too.

    Blocks are changed in place and stay instances of their classes; parameters, buffers, keys and
    what is computed stay (batch statistics and all gradients included, up to rounding). Optimizers
    made before stay valid.

    Args:
        model: any module with train-time blocks (MobileOne, RepVGG, ... of any program): sums of
            norm(conv(x)) and norm(x) of one x that a single convolution can replace.
        train_path: "moments" always; "branches" never, for comparison; "auto" in evaluation always,
            in training where it is faster by a count of multiply-adds.

    Returns:
        ``model``.

    Raises:
        ValueError: no such block, a hook on a module whose forward would no longer run, or
            SyncBatchNorm, whose statistics are not those of one replica.
    """
    if train_path not in PATHS:
        raise ValueError(f"train_path is {train_path!r}; expected one of {', '.join(PATHS)}")
    if not isinstance(model, nn.Module):
        raise TypeError(f"model is {type(model).__name__}; expected a torch.nn.Module")
    found = _find(model)
    for name, part in found.items():
        _refuse_hooks(model.get_submodule(name), name, part)
    if not found and not any(isinstance(module, AcceleratedBlock) for module in model.modules()):
        _raise_nothing_found(model)
    for name, part in found.items():
        install_found(model.get_submodule(name), part, train_path)
    for module in model.modules():
        if isinstance(module, AcceleratedBlock):
            module.set_train_path(train_path)
    return model


def _find(model: nn.Module) -> dict[str, BranchSum]:
    """By name: innermost modules with several branches, and others of their classes with one."""
    found: dict[str, BranchSum] = {}
    candidates = list(model.named_modules())
    for name, module in reversed(candidates):  # children before parents
        below = f"{name}." if name else ""
        if _may_be_block(module, norms=2) and not any(other.startswith(below) for other in found):
            part = find_branch_sum(module)
            if part is not None and len(part.branches) > 1:
                found[name] = part
    classes = {type(model.get_submodule(name)) for name in found}
    for name, module in candidates:
        if type(module) in classes and name not in found and _may_be_block(module, norms=1):
            part = find_branch_sum(module)
            if part is not None:
                found[name] = part
    return found


def _may_be_block(module: nn.Module, norms: int) -> bool:
    if isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        return False
    parts = list(module.modules())
    if any(isinstance(part, AcceleratedBlock) for part in parts):
        return False
    return sum(isinstance(part, _BatchNorm) for part in parts) >= norms


def _refuse_hooks(block: nn.Module, name: str, found: BranchSum) -> None:
    for inner in found.within:
        module = block.get_submodule(inner)
        if has_hooks(module):
            where = f"{name}.{inner}" if name else inner
            raise ValueError(
                f"{where} has a hook, and would no longer be called: remove the hook, or "
                f"accelerate other parts of the model"
            )


def _raise_nothing_found(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.SyncBatchNorm):
            raise ValueError(
                f"{name} is a SyncBatchNorm; the moments path computes statistics per replica: "
                f"expected nn.BatchNorm2d"
            )
    raise ValueError(
        f"{type(model).__name__} has no train-time block: expected sums of norm(conv(x)) and "
        f"norm(x) of one x, computed in a forward that torch.fx can trace"
    )

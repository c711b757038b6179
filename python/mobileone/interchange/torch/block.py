"""A block on the moments path: its own class, but for the forward of its branches."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from mobileone.checkpoint.modules.run import TRAIN_PATH
from mobileone.interchange.torch import cost
from mobileone.interchange.torch.algebra import Part, merge, uses_batch
from mobileone.interchange.torch.convolution import Pending, can_convolve, convolve
from mobileone.interchange.torch.geometry import Geometry
from mobileone.interchange.torch.recognise import (
    MERGED,
    BranchSum,
    find_branch_sum,
    has_hooks,
    is_plain_norm,
)
from mobileone.interchange.torch.statistics import statistics_dtype, with_moments

Path = Literal["auto", "moments", "branches"]
PATHS: tuple[Path, ...] = ("auto", "moments", "branches")

if TYPE_CHECKING:
    _Base = nn.Module
else:
    _Base = object

_SUM, _PATH = "_mobileone_branch_sum", TRAIN_PATH


class AcceleratedBlock(_Base):
    """Mixed in before a block's class, whose parameters, buffers and methods stay.

    The submodules stay too, as holders. Where they are no longer what was recognised (fused,
    replaced, hooked), the class's own forward runs: slower, and always right.
    """

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """As the block's class."""
        found: BranchSum = self.__dict__[_SUM]
        if (
            self.__dict__[_PATH] == "branches"
            or (parts := _parts(self, found)) is None
            or (args and not self._merges(args[0], parts, found.geometry))
        ):
            return super().forward(*args, **kwargs)
        return found.forward(self, *args, **kwargs)

    def _merges(self, x: Any, parts: list[Part], geometry: Geometry) -> bool:
        if not isinstance(x, Tensor) or x.dim() != 4 or x.shape[1] != geometry.channels[0]:
            return False  # the class's own forward says what is wrong
        if self.__dict__[_PATH] == "moments" or not any(uses_batch(norm) for _, norm in parts):
            return True
        kernels = [None if conv is None else conv.kernel_size for conv, _ in parts]
        gradient = x.requires_grad and torch.is_grad_enabled()
        native = can_convolve(x, geometry, _statistics_dtype(x, parts))
        return cost.moments_are_faster(geometry, kernels, tuple(x.shape), gradient, native)  # type: ignore[arg-type]

    def merged_branches(self, x: Tensor) -> Tensor:
        """The sum of the branches of x (N, C, H, W) as one convolution."""
        found: BranchSum = self.__dict__[_SUM]
        parts = _parts(self, found)
        assert parts is not None  # `forward` has looked
        return _merged(x, parts, found)

    def set_train_path(self, path: Path) -> None:
        """As `accelerate`'s ``train_path``."""
        self.__dict__[_PATH] = path

    def extra_repr(self) -> str:
        """What is merged."""
        found: BranchSum = self.__dict__[_SUM]
        return f"{len(found.branches)} branches as one convolution: {self.__dict__[_PATH]}"

    def __reduce_ex__(self, protocol: Any) -> Any:
        state = {key: value for key, value in self.__dict__.items() if key != _SUM}
        return _blank, (self._block_class,), state

    def __setstate__(self, state: dict[str, Any]) -> None:
        path = state.pop(_PATH)
        self.__class__ = self._block_class  # type: ignore[assignment]
        self.__setstate__(state)
        install(self, path)

    _block_class: type[nn.Module]


def install(block: nn.Module, path: Path) -> bool:
    """Put a block on the moments path; False, and unchanged, where no branches are recognised."""
    found = find_branch_sum(block)
    if found is None:
        return False
    install_found(block, found, path)
    return True


def install_found(block: nn.Module, found: BranchSum, path: Path) -> None:
    """`install`, of what has been found already."""
    block.__dict__[_SUM] = found
    block.__dict__[_PATH] = path
    block.__class__ = _accelerated(type(block))  # type: ignore[arg-type]


@functools.cache
def _accelerated(base: type[nn.Module]) -> type[nn.Module]:
    """The class of a block of class ``base`` on the moments path, under the same name."""
    space = {"_block_class": base, "__module__": base.__module__, "__doc__": base.__doc__}
    return type(base.__name__, (AcceleratedBlock, base), space)


def _blank(base: type[nn.Module]) -> nn.Module:
    """An accelerated block without its state, for pickle and copy."""
    kind = _accelerated(base)  # type: ignore[arg-type]
    return kind.__new__(kind)


def _parts(block: nn.Module, found: BranchSum) -> list[Part] | None:
    """The branches' modules; None where they are not those that were recognised."""
    modules = []
    for name in found.within:
        try:
            module = block.get_submodule(name)
        except AttributeError:
            return None
        if has_hooks(module):
            return None
    for branch in found.branches:
        conv = None if branch.conv is None else block.get_submodule(branch.conv)
        norm = block.get_submodule(branch.norm)
        if not is_plain_norm(norm) or (conv is not None and type(conv) is not nn.Conv2d):
            return None
        modules.append(Part(conv, norm))  # type: ignore[arg-type]
    return modules


def _statistics_dtype(x: Tensor, parts: list[Part]) -> torch.dtype:
    return statistics_dtype(x, *(conv.weight for conv, _ in parts if conv is not None))


def _merged(x: Tensor, parts: list[Part], found: BranchSum) -> Tensor:
    geometry = found.geometry
    dtype = _statistics_dtype(x, parts)
    rows, columns = geometry.output_size(*x.shape[2:])
    count = len(x) * rows * columns
    moments = pending = None
    if any(uses_batch(norm) for _, norm in parts) and can_convolve(x, geometry, dtype):
        pending = Pending()
    with torch.autocast(x.device.type, enabled=False):
        if any(uses_batch(norm) for _, norm in parts):
            if count < 2:
                shape = [len(x), geometry.channels[1], rows, columns]
                raise ValueError(
                    f"Expected more than 1 value per channel when training, got input size {shape}"
                )
            x, mean, covariance = with_moments(x, geometry, dtype, pending)
            moments = mean, covariance
        weight, bias = merge(parts, geometry, moments, count, dtype)
        if not torch.is_autocast_enabled(x.device.type):
            weight, bias = weight.to(x.dtype), bias.to(x.dtype)
    if pending is not None:
        return convolve(x, weight, bias, geometry, pending)
    y = F.conv2d(
        x, weight, bias, geometry.stride, geometry.padding, geometry.dilation, geometry.groups
    )
    # Autocast leaves an identity branch, and so the sum, in its input's precision.
    keeps = any(conv is None for conv, _ in parts)
    return y.to(torch.promote_types(x.dtype, y.dtype)) if keeps else y


assert hasattr(AcceleratedBlock, MERGED)

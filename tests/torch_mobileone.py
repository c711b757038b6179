"""MobileOne in plain PyTorch: the tests' independent truth, written from the paper alone.

Vasu et al., "MobileOne: An Improved One millisecond Mobile Backbone", CVPR 2023: block in section
3.3 and Figure 3, widths and branches in Table 2, squeeze-and-excitation in S4. Parameter names are
those of the authors' checkpoints. It shares nothing with the engine and runs in any dtype.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Config:
    """Widths are final channel counts; ``se_widths`` maps block names to squeezed channels."""

    stem: int
    widths: tuple[int, ...]
    depths: tuple[int, ...]
    branches: int = 1
    se_widths: dict[str, int] = field(default_factory=dict)
    num_classes: int = 1000
    in_channels: int = 3


def _squeezed(widths: tuple[int, ...], pairs: dict[int, range]) -> dict[str, int]:
    """Both blocks of the given pairs of stages (from 1), squeezed 16 times."""
    result = {}
    for stage, selected in pairs.items():
        for pair in selected:
            before = widths[stage - 1] if pair else widths[stage - 2]
            result[f"stage{stage}.{2 * pair}"] = before // 16
            result[f"stage{stage}.{2 * pair + 1}"] = widths[stage - 1] // 16
    return result


_S, _S4 = (2, 8, 10, 1), (192, 448, 896, 2048)
VARIANTS: dict[str, Config] = {
    "mobileone_s0": Config(48, (48, 128, 256, 1024), _S, 4),
    "mobileone_s1": Config(64, (96, 192, 512, 1280), _S),
    "mobileone_s2": Config(64, (96, 256, 640, 2048), _S),
    "mobileone_s3": Config(64, (128, 320, 768, 2048), _S),
    "mobileone_s4": Config(64, _S4, _S, 1, _squeezed(_S4, {3: range(5, 10), 4: range(1)})),
    "mobileone_mu0": Config(48, (48, 64, 128, 384), (2, 4, 6, 1), 3),
    "mobileone_mu1": Config(48, (48, 96, 192, 512), (2, 6, 8, 1), 2),
    "mobileone_mu2": Config(48, (48, 128, 256, 512), (2, 6, 8, 1), 2),
}


class ConvBN(nn.Module):
    """A convolution without bias and its batch norm: one linear branch."""

    def __init__(self, c_in: int, c_out: int, kernel: int, stride: int, groups: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, 1, groups, bias=False)
        self.bn = nn.BatchNorm2d(c_out)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv(x))


class Sum(nn.Module):
    """Sums, pools and gates are modules so that hooks see every operator (torch_rounding)."""

    def forward(self, *terms: Tensor) -> Tensor:
        return sum(terms[1:], terms[0])


class Pool(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)


class Scale(nn.Module):
    def forward(self, x: Tensor, gate: Tensor) -> Tensor:
        return x * gate


class SqueezeExcitation(nn.Module):
    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.pool, self.sigmoid, self.scale = Pool(), nn.Sigmoid(), Scale()
        self.reduce = nn.Conv2d(channels, squeezed, 1)
        self.expand = nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.expand(F.relu(self.reduce(self.pool(x))))
        return self.scale(x, self.sigmoid(gate))


class Block(nn.Module):
    """Sum of skip, scale and k conv branches, then SE, then ReLU (Figure 3)."""

    def __init__(
        self, c_in: int, c_out: int, kernel: int, stride: int, groups: int, branches: int, se: int
    ) -> None:
        super().__init__()
        self.geometry = (c_in, c_out, kernel, stride, groups)
        same = c_in == c_out and stride == 1
        self.rbr_skip = nn.BatchNorm2d(c_out) if same else None
        self.rbr_scale = ConvBN(c_in, c_out, 1, stride, groups) if kernel > 1 else None
        self.rbr_conv = nn.ModuleList(ConvBN(*self.geometry) for _ in range(branches))
        self.reparam_conv: nn.Conv2d | None = None
        self.sum = Sum()
        self.se = SqueezeExcitation(c_out, se) if se else nn.Identity()

    def branches(self, x: Tensor) -> Tensor:
        parts = [self.rbr_skip, self.rbr_scale, *self.rbr_conv]
        return self.sum(*[part(x) for part in parts if part is not None])

    def forward(self, x: Tensor) -> Tensor:
        total = self.branches(x) if self.reparam_conv is None else self.reparam_conv(x)
        return F.relu(self.se(total))

    def fuse(self) -> None:
        """Find the block's one convolution by probing its linear map, not by folding formulas.

        The response of the branches to nothing is the bias; the response to a unit impulse at the
        centre of a 2K - 1 image is the mirrored kernel. Stride and borders do not matter then.
        """
        c_in, c_out, kernel, stride, groups = self.geometry
        reach, per_group = kernel // 2, c_in // groups
        dtype = self.rbr_conv[0].conv.weight.dtype
        fused = nn.Conv2d(c_in, c_out, kernel, stride, reach, 1, groups).to(dtype)
        for part in (self.rbr_scale, *self.rbr_conv):
            if part is not None:
                part.conv.stride = (1, 1)
        linear = copy.deepcopy(self).eval()
        size = 2 * kernel - 1

        # One image per input channel of a group; the groups respond at the same time.
        images = torch.zeros(per_group, groups, per_group, size, size, dtype=dtype)
        for channel in range(per_group):
            images[channel, :, channel, kernel - 1, kernel - 1] = 1
        images = images.reshape(per_group, c_in, size, size)
        with torch.no_grad():
            bias = linear.branches(torch.zeros_like(images[:1]))[0, :, kernel - 1, kernel - 1]
            window = slice(kernel - 1 - reach, kernel + reach)
            response = linear.branches(images)[:, :, window, window] - bias[:, None, None]
            fused.weight.copy_(response.flip(2, 3).transpose(0, 1))
            fused.bias.copy_(bias)
        self.reparam_conv, self.rbr_skip, self.rbr_scale = fused, None, None
        self.rbr_conv = nn.ModuleList()


class MobileOne(nn.Module):
    """Train-time form; ``fused`` gives the inference form."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        se = config.se_widths.get
        self.stage0 = Block(config.in_channels, config.stem, 3, 2, 1, 1, se("stage0", 0))
        width = config.stem
        for number, (out, depth) in enumerate(zip(config.widths, config.depths, strict=True), 1):
            blocks = nn.Sequential()
            for pair in range(depth):
                name, k = f"stage{number}.{2 * pair}", config.branches
                blocks.append(Block(width, width, 3, 1 if pair else 2, width, k, se(name, 0)))
                name = f"stage{number}.{2 * pair + 1}"
                blocks.append(Block(width, out, 1, 1, 1, k, se(name, 0)))
                width = out
            self.add_module(f"stage{number}", blocks)
        self.gap = Pool()
        self.linear = nn.Linear(width, config.num_classes)

    def features(self, x: Tensor) -> list[Tensor]:
        maps = [self.stage0(x)]
        for number in range(1, len(self.config.widths) + 1):
            maps.append(self.get_submodule(f"stage{number}")(maps[-1]))
        return maps

    def head(self, last: Tensor) -> Tensor:
        return self.linear(self.gap(last).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1])


def create(name: str, seed: int = 0, **changes: object) -> MobileOne:
    """A published variant in float64 and eval mode, randomized; its weights are float32 numbers."""
    return randomize(MobileOne(replace(VARIANTS[name], **changes)), seed)  # type: ignore[arg-type]


def fused(module: MobileOne) -> MobileOne:
    """A copy in the inference form, weights unrounded; ``module`` is left as it is."""
    result = copy.deepcopy(module).eval()
    for part in result.modules():
        if isinstance(part, Block):
            part.fuse()
    return result


def randomize(module: MobileOne, seed: int) -> MobileOne:
    """Give every weight, gamma, beta and running statistic a non-trivial value, in place.

    Running statistics are those of one pass of noise, then moved away from it, so that signals keep
    a realistic scale through any depth while no batch norm is near the identity. Some gammas are
    negative. The module ends in float64 and eval mode, every value a float32 number.
    """
    random = torch.Generator().manual_seed(seed)

    def normal(like: Tensor, scale: float) -> Tensor:
        return scale * torch.randn(like.shape, generator=random, dtype=torch.float64)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=random, dtype=torch.float64)

    module.double()
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.Conv2d | nn.Linear):
                part.weight.copy_(normal(part.weight, (2 / part.weight[0].numel()) ** 0.5))
                if part.bias is not None:
                    part.bias.copy_(normal(part.bias, 0.5))
            elif isinstance(part, Block):
                count = len(part.rbr_conv) + (part.rbr_skip is not None)
                count += part.rbr_scale is not None
                for norm in part.modules():
                    if not isinstance(norm, nn.BatchNorm2d):
                        continue
                    sign = (torch.rand(norm.weight.shape, generator=random) > 0.1) * 2.0 - 1.0
                    norm.weight.copy_(uniform(norm.weight, 0.3, 1.7) * sign / count**0.5)
                    norm.bias.copy_(0.7 / count + normal(norm.bias, 0.3 / count**0.5))
        for norm in norms:
            norm.momentum = 1.0
        noise = torch.randn(2, module.config.in_channels, 128, 128, generator=random).double()
        module.train()(noise)
        for norm in norms:
            norm.momentum = 0.1
            # A channel that was silent in the noise must not be amplified without limit.
            variance = norm.running_var.clamp_min(0.1 * norm.running_var.mean())
            norm.running_mean.add_(normal(variance, 0.2) * variance.sqrt())
            norm.running_var.copy_(variance * uniform(variance, 0.6, 1.7))
            norm.num_batches_tracked.copy_(torch.randint(1, 1000, (), generator=random))
        module.float().double()
    return module.eval()

"""MobileViT in plain PyTorch: the tests' independent truth.

Mehta & Rastegari, "MobileViT: Light-weight, General-purpose, and Mobile-friendly Vision
Transformer", ICLR 2022: block in section 3.1 and Figure 1b, widths in Table 4. Parameter names are
those of the authors' checkpoints (CVNets). It shares nothing with the engine and runs in any dtype.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch_mobileone import Pool, Sum


@dataclass(frozen=True)
class Config:
    """Per layer: channels, MobileNetV2 blocks, and (d, ffn, L) of the MobileViT block or None."""

    widths: tuple[int, ...]
    transformers: tuple[tuple[int, int, int] | None, ...]
    expansion: int
    head: int
    depths: tuple[int, ...] = (1, 3, 1, 1, 1)
    stem: int = 16
    heads: int = 4
    patch: tuple[int, int] = (2, 2)
    dropout: float = 0.0
    ffn_dropout: float = 0.0
    classifier_dropout: float = 0.0
    num_classes: int = 1000
    in_channels: int = 3


def _transformers(*widths: int) -> tuple[tuple[int, int, int] | None, ...]:
    layers = zip(widths, (2, 4, 3), strict=True)
    return (None, None, *((d, 2 * d, depth) for d, depth in layers))


VARIANTS: dict[str, Config] = {
    "mobilevit_xxs": Config((16, 24, 48, 64, 80), _transformers(64, 80, 96), 2, 320),
    "mobilevit_xs": Config((32, 48, 64, 80, 96), _transformers(96, 120, 144), 4, 384),
    "mobilevit_s": Config((32, 64, 96, 128, 160), _transformers(144, 192, 240), 4, 640),
}
# Narrow and shallow, with a patch that is not square: enough for everything but the full size.
SMALL = Config(
    (8, 12, 16, 20),
    (None, (12, 20, 1), (18, 25, 2), None),
    3,
    24,
    depths=(1, 2, 1, 1),
    stem=8,
    heads=3,
    patch=(4, 2),
    num_classes=7,
)


def arguments(config: Config) -> dict[str, object]:
    """The same configuration as keyword arguments of ``mobileone.create_model``."""
    inner = [layer or (0, 0, 0) for layer in config.transformers]
    return {
        "stem_width": config.stem,
        "widths": list(config.widths),
        "depths": list(config.depths),
        "transformer_widths": [layer[0] for layer in inner],
        "ffn_widths": [layer[1] for layer in inner],
        "transformer_depths": [layer[2] for layer in inner],
        "expansion": float(config.expansion),
        "head_width": config.head,
        "heads": config.heads,
        "patch": list(config.patch),
        "dropout": config.dropout,
        "ffn_dropout": config.ffn_dropout,
        "classifier_dropout": config.classifier_dropout,
        "num_classes": config.num_classes,
        "in_channels": config.in_channels,
    }


class Conv(nn.Module):
    """A convolution, its batch norm and SiLU, the latter two where wanted."""

    def __init__(
        self,
        c_in: int,
        c_out: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        norm: bool = True,
        act: bool = True,
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, 1, groups, bias=False)
        self.block = nn.Sequential(OrderedDict(conv=conv))
        if norm:
            self.block.add_module("norm", nn.BatchNorm2d(c_out))
        if act:
            self.block.add_module("act", nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x)


def _whole_eights(width: int) -> int:
    """The nearest multiple of 8, halves upwards, that is not below 90 %."""
    nearest = max(8, (width + 4) // 8 * 8)
    return nearest if 10 * nearest >= 9 * width else nearest + 8


class InvertedResidual(nn.Module):
    """MobileNetV2's block (Sandler et al. 2018)."""

    def __init__(self, c_in: int, c_out: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = _whole_eights(c_in * expansion)
        self.block = nn.Sequential(
            OrderedDict(
                exp_1x1=Conv(c_in, hidden, 1),
                conv_3x3=Conv(hidden, hidden, 3, stride, hidden),
                red_1x1=Conv(hidden, c_out, 1, act=False),
            )
        )
        self.sum = Sum() if stride == 1 and c_in == c_out else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(x)
        return y if self.sum is None else self.sum(x, y)


class Attention(nn.Module):
    """Packed projections [B, N, 3 d] -> [B, N, d]."""

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads = heads

    def split(self, packed: Tensor) -> Tensor:
        """[3, B, heads, N, head size]: queries, keys, values."""
        batch, tokens, features = packed.shape
        parts = packed.reshape(batch, tokens, 3, self.heads, features // 3 // self.heads)
        return parts.permute(2, 0, 3, 1, 4)

    def forward(self, packed: Tensor) -> Tensor:
        q, k, v = self.split(packed)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


class MultiHead(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.attention = Attention(heads)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.out_proj(self.attention(self.qkv_proj(x)))


class Transformer(nn.Module):
    def __init__(self, width: int, hidden: int, config: Config) -> None:
        super().__init__()
        self.pre_norm_mha = nn.Sequential(
            nn.LayerNorm(width), MultiHead(width, config.heads), nn.Dropout(config.dropout)
        )
        self.pre_norm_ffn = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, hidden),
            nn.SiLU(),
            nn.Dropout(config.ffn_dropout),
            nn.Linear(hidden, width),
            nn.Dropout(config.dropout),
        )
        self.sums = nn.ModuleList([Sum(), Sum()])

    def forward(self, x: Tensor) -> Tensor:
        x = self.sums[0](x, self.pre_norm_mha(x))
        return self.sums[1](x, self.pre_norm_ffn(x))


class Resize(nn.Module):
    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        if x.shape[2:] == size:
            return x
        return F.interpolate(x, size, mode="bilinear", align_corners=False)


class MobileViTBlock(nn.Module):
    def __init__(self, width: int, transformer: tuple[int, int, int], config: Config) -> None:
        super().__init__()
        inner, hidden, depth = transformer
        self.patch = config.patch
        self.local_rep = nn.Sequential(
            OrderedDict(
                conv_3x3=Conv(width, width, 3),
                conv_1x1=Conv(width, inner, 1, norm=False, act=False),
            )
        )
        layers = [Transformer(inner, hidden, config) for _ in range(depth)]
        self.global_rep = nn.Sequential(*layers, nn.LayerNorm(inner))
        self.conv_proj = Conv(inner, width, 1)
        self.fusion = Conv(2 * width, width, 3)
        self.resizes = nn.ModuleList([Resize(), Resize()])

    def forward(self, x: Tensor) -> Tensor:
        local = self.local_rep(x)
        h, w = self.patch
        height, width = local.shape[2:]
        rows, columns = -(-height // h), -(-width // w)
        y = self.resizes[0](local, (rows * h, columns * w))
        batch, channels = y.shape[:2]
        y = y.reshape(batch, channels, rows, h, columns, w).permute(0, 3, 5, 2, 4, 1)
        y = self.global_rep(y.reshape(batch * h * w, rows * columns, channels))
        y = y.reshape(batch, h, w, rows, columns, channels).permute(0, 5, 3, 1, 4, 2)
        y = self.resizes[1](y.reshape(batch, channels, rows * h, columns * w), (height, width))
        return self.fusion(torch.cat([x, self.conv_proj(y)], dim=1))


class MobileViT(nn.Module):
    """Train-time form; ``fused`` gives the inference form."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.conv_1 = Conv(config.in_channels, config.stem, 3, 2)
        width = config.stem
        for number, out in enumerate(config.widths, 1):
            layer = nn.Sequential()
            for block in range(config.depths[number - 1]):
                stride = 2 if block == 0 and number > 1 else 1
                layer.append(InvertedResidual(width, out, stride, config.expansion))
                width = out
            transformer = config.transformers[number - 1]
            if transformer is not None:
                layer.append(MobileViTBlock(out, transformer, config))
            self.add_module(f"layer_{number}", layer)
        self.conv_1x1_exp = Conv(width, config.head, 1)
        self.gap = Pool()
        fc = nn.Linear(config.head, config.num_classes)
        self.classifier = nn.Sequential(
            OrderedDict(dropout=nn.Dropout(config.classifier_dropout), fc=fc)
        )

    def features(self, x: Tensor) -> list[Tensor]:
        maps = [self.conv_1(x)]
        for number in range(1, len(self.config.widths) + 1):
            maps.append(self.get_submodule(f"layer_{number}")(maps[-1]))
        return maps

    def head(self, last: Tensor) -> Tensor:
        return self.classifier(self.gap(self.conv_1x1_exp(last)).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x)[-1])


def create(config: Config | str, seed: int = 0, **changes: object) -> MobileViT:
    """In float64 and eval mode, randomized; its weights are float32 numbers."""
    chosen = VARIANTS[config] if isinstance(config, str) else config
    return randomize(MobileViT(replace(chosen, **changes)), seed)  # type: ignore[arg-type]


def fused(module: MobileViT) -> MobileViT:
    """A copy in the inference form, weights unrounded; ``module`` is left as it is."""
    result = copy.deepcopy(module).eval()
    for part in result.modules():
        if isinstance(part, Conv) and hasattr(part.block, "norm"):
            part.block.conv = fuse_conv_bn_eval(part.block.conv, part.block.norm)
            del part.block.norm
    return result


def randomize(module: MobileViT, seed: int) -> MobileViT:
    """Give every parameter and running statistic a non-trivial value, in place.

    Running statistics are those of one pass of noise, then moved away from it, so that signals keep
    their scale through any depth while no batch norm is near the identity. Queries and keys are
    large enough for attention to be uneven. Ends in float64 and eval mode, as float32 numbers.
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
            elif isinstance(part, nn.BatchNorm2d | nn.LayerNorm):
                sign = (torch.rand(part.weight.shape, generator=random) > 0.1) * 2.0 - 1.0
                part.weight.copy_(uniform(part.weight, 0.3, 1.7) * sign)
                part.bias.copy_(normal(part.bias, 0.5))
        for norm in norms:
            norm.momentum = 1.0
        size = 4 * 2 ** len(module.config.widths)  # 4 x 4 pixels in the last layer
        noise = torch.randn(2, module.config.in_channels, size, size, generator=random).double()
        module.train()(noise)
        for norm in norms:
            norm.momentum = 0.1
            variance = norm.running_var.clamp_min(0.1 * norm.running_var.mean())
            norm.running_mean.add_(normal(variance, 0.2) * variance.sqrt())
            norm.running_var.copy_(variance * uniform(variance, 0.6, 1.7))
            norm.num_batches_tracked.copy_(torch.randint(1, 1000, (), generator=random))
        module.float().double()
    return module.eval()

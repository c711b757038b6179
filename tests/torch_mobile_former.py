"""Mobile-Former in PyTorch, module by module as its paper has it (Chen et al., CVPR 2022), with the
scales of attention and of gates where they are written."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

# Tokens, stem, head; stages as (channels, first expansion, second expansion, stride).
SIZES: dict[str, tuple[int, int, int, list[tuple[int, int, int, int]]]] = {
    "Mobile-Former-52": (3, 8, 1024, [
        (12, 3, 0, 2), (12, 3, 3, 1), (24, 6, 4, 2), (24, 3, 3, 1), (48, 6, 4, 2), (48, 4, 4, 1),
        (64, 6, 4, 1), (96, 6, 4, 2), (96, 6, 4, 1),
    ]),
    "Mobile-Former-96": (4, 12, 1280, [
        (12, 2, 0, 1), (16, 6, 4, 2), (32, 6, 4, 2), (32, 3, 3, 1), (64, 6, 4, 2), (64, 4, 4, 1),
        (88, 6, 4, 1), (128, 6, 4, 2), (128, 6, 4, 1),
    ]),
}  # fmt: skip
FEATURES = 128


class Scaled(nn.Linear):
    """A linear layer of `before` times x, times `after`."""

    before = after = 1.0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.after * super().forward(self.before * x)


def scales_folded(module: nn.Module) -> nn.Module:
    """A copy in which scales are part of the weights, rounded to float32. The module's own become
    those of which they are made."""
    for child in module.modules():
        if isinstance(child, Scaled):
            both = child.before * child.after
            child.weight.data = (child.weight * both).float().double() / both
            child.bias.data = (child.bias * child.after).float().double() / child.after
    result = copy.deepcopy(module)
    for child in result.modules():
        if isinstance(child, Scaled):
            child.weight.data *= child.before * child.after
            child.bias.data *= child.after
            child.before = child.after = 1.0
    return result


def conv(given: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> Any:
    padding = kernel // 2
    layer = nn.Conv2d(given, channels, kernel, stride, padding, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(channels))


class DynamicRelu(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.make = nn.Sequential(
            nn.Linear(FEATURES, FEATURES // 4), nn.ReLU(),
            nn.Linear(FEATURES // 4, 2 * channels), nn.Hardsigmoid(),
        )  # fmt: skip

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        first, second = self.make(tokens[:, 0])[:, :, None, None].chunk(2, dim=1)
        slopes = [1 + 2 * (first - 0.5), 2 * (second - 0.5)]
        return torch.maximum(slopes[0] * x, slopes[1] * x)


def query(given: int, features: int, heads: int) -> Scaled:
    made = Scaled(given, features)
    made.after = (features // heads) ** -0.5
    return made


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """[N, tokens, features] by heads."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """[N, queries, features] of tensors by heads; scaled already."""
    return ((q @ k.transpose(2, 3)).softmax(-1) @ v).transpose(1, 2).flatten(2)


class MapToTokens(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query = query(FEATURES, channels, 2)
        self.gate = nn.Linear(FEATURES, channels)
        self.project = Scaled(channels, FEATURES)
        self.project.before = 2.0
        self.norm = nn.LayerNorm(FEATURES)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        pixels = split(x.flatten(2).transpose(1, 2), 2)
        found = attend(split(self.query(tokens), 2), pixels, pixels)
        gate = nn.functional.hardsigmoid(self.gate(tokens))
        return self.norm(tokens + self.project(gate * found))


class Former(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.query = query(FEATURES, FEATURES, 4)
        self.project = nn.Linear(FEATURES, FEATURES)
        self.norm = nn.LayerNorm(FEATURES)
        self.feed = nn.Sequential(
            nn.Linear(FEATURES, 2 * FEATURES), nn.GELU(), nn.Linear(2 * FEATURES, FEATURES)
        )
        self.feed_norm = nn.LayerNorm(FEATURES)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        values = split(tokens, 4)
        mixed = attend(split(self.query(tokens), 4), values, values)
        tokens = self.norm(tokens + self.project(mixed))
        return self.feed_norm(tokens + self.feed(tokens))


class TokensToMap(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        # The scale is of either side of the product.
        self.key = query(FEATURES, channels, 2)
        self.value = nn.Linear(FEATURES, channels)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        pixels = split(x.flatten(2).transpose(1, 2), 2)
        found = attend(pixels, split(self.key(tokens), 2), split(self.value(tokens), 2))
        return x + found.transpose(1, 2).unflatten(2, x.shape[2:])


class Block(nn.Module):
    def __init__(self, given: int, channels: int, first: int, second: int, stride: int) -> None:
        super().__init__()
        self.to_tokens, self.former = MapToTokens(given), Former()
        wide = given * first
        if stride == 2:
            wider = channels * second
            self.convs = nn.ModuleList([
                conv(given, wide, 3, 2, given), conv(wide, channels),
                conv(channels, wider, 3, 1, channels), conv(wider, channels),
            ])  # fmt: skip
        else:
            wider = wide
            self.convs = nn.ModuleList([
                conv(given, wide), conv(wide, wide, 3, 1, wide), conv(wide, channels),
            ])  # fmt: skip
        self.bends = nn.ModuleList([DynamicRelu(wide), DynamicRelu(wider)])
        self.to_map = TokensToMap(channels)

    def forward(self, x: torch.Tensor, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        tokens = self.former(self.to_tokens(x, tokens))
        if len(self.convs) == 4:
            y = self.convs[1](self.bends[0](self.convs[0](x), tokens))
            y = y + self.convs[3](self.bends[1](self.convs[2](y), tokens))
        else:
            y = self.bends[0](self.convs[0](x), tokens)
            y = self.convs[2](self.bends[1](self.convs[1](y), tokens))
            y = y + x if y.shape == x.shape else y
        return self.to_map(y, tokens), tokens


class MobileFormer(nn.Module):
    def __init__(self, name: str) -> None:
        super().__init__()
        count, stem, head, stages = SIZES[name]
        self.tokens = nn.Parameter(torch.randn(1, count, FEATURES))
        self.stem = nn.Sequential(conv(3, stem, 3, 2), nn.ReLU6())
        channels, first, _, stride = stages[0]
        self.lite = nn.Sequential(
            conv(stem, stem * first, 3, stride, stem), nn.ReLU6(), conv(stem * first, channels)
        )
        blocks = []
        given = channels
        for wide, first, second, stride in stages[1:]:
            blocks.append(Block(given, wide, first, second, stride))
            given = wide
        self.blocks = nn.ModuleList(blocks)
        last = stages[-1][0]
        self.to_tokens = MapToTokens(last)
        self.wide = nn.Sequential(conv(last, 6 * last), nn.ReLU6())
        self.head = nn.Sequential(nn.Linear(6 * last + FEATURES, head), nn.Hardswish())
        self.classifier = nn.Linear(head, 1000)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x, tokens = self.stem(image), self.tokens.expand(len(image), -1, -1)
        y = self.lite(x)
        x = x + y if x.shape == y.shape else y
        for block in self.blocks:
            x, tokens = block(x, tokens)
        tokens = self.to_tokens(x, tokens)
        pooled = nn.functional.hardswish(self.wide(x).mean((2, 3)))
        return self.classifier(self.head(torch.cat([pooled, tokens[:, 0]], 1)))


def seeded(name: str, seed: int) -> MobileFormer:
    """With the statistics of norms of a trained network's kind, and weights that let an image
    through."""
    torch.manual_seed(seed)
    module = MobileFormer(name).eval()
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.normal_(0, 0.2)
            child.running_var.uniform_(0.5, 2)
            child.weight.data.uniform_(0.5, 1.5)
            child.bias.data.normal_(0, 0.2)
        elif isinstance(child, nn.Conv2d):
            nn.init.kaiming_normal_(child.weight)
        elif isinstance(child, nn.Linear):
            child.weight.data.normal_(0, child.in_features**-0.5)
    return module

"""A small detector of YOLO's kind (v5 to v7): RepConv in cross-stage blocks, pyramid pooling, a
top-down path, maps of two resolutions, decoded to boxes or not.
"""

from __future__ import annotations

import torch
from interchange.onnx_fuse.families import repconv
from torch import nn

from checkpoint.timm_models import trained_looking

SIZE = (96, 128)
_CLASSES = 3
_STRIDES = (8, 16)


def _unit(c_in: int, c_out: int, kernel: int = 1, stride: int = 1) -> nn.Module:
    conv = nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(c_out), nn.SiLU())


class _CrossStage(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.enter, self.rep = _unit(c, c), repconv(c // 2)
        self.leave = _unit(3 * c // 2, c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept, worked = self.enter(x).chunk(2, 1)
        return self.leave(torch.cat([kept, worked, self.rep(worked)], 1))


class _PyramidPool(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.enter, self.pool = _unit(c, c // 2), nn.MaxPool2d(5, 1, 2)
        self.leave = _unit(2 * c, c)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        maps = [self.enter(x)]
        for _ in range(3):
            maps.append(self.pool(maps[-1]))
        return self.leave(torch.cat(maps, 1))


class Detector(nn.Module):
    """Maps [N, 5 + classes, h, w], or all cells' boxes, objectness and classes [N, cells, ...]."""

    def __init__(self, decoded: bool) -> None:
        super().__init__()
        self.decoded = decoded
        self.low = nn.Sequential(
            _unit(3, 16, 3, 2), _unit(16, 32, 3, 2), _unit(32, 32, 3, 2), _CrossStage(32)
        )
        self.high = nn.Sequential(_unit(32, 64, 3, 2), _CrossStage(64), _PyramidPool(64))
        self.lateral = _unit(64, 32)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        self.merge = nn.Sequential(_unit(64, 32), _CrossStage(32))
        self.heads = nn.ModuleList(nn.Conv2d(c, 5 + _CLASSES, 1) for c in (32, 64))

    def forward(self, x: torch.Tensor) -> torch.Tensor | list[torch.Tensor]:
        low = self.low(x)
        high = self.high(low)
        merged = self.merge(torch.cat([low, self.up(self.lateral(high))], 1))
        maps = [head(m) for head, m in zip(self.heads, (merged, high), strict=True)]
        if not self.decoded:
            return maps
        return torch.cat([_boxes(m, s) for m, s in zip(maps, _STRIDES, strict=True)], 1)


def _boxes(m: torch.Tensor, stride: int) -> torch.Tensor:
    height, width = m.shape[2:]
    cells = m.flatten(2).transpose(1, 2)
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    corners = torch.stack([x, y], -1).reshape(1, -1, 2)
    share = cells.sigmoid()
    centre = (share[..., :2] * 2 - 0.5 + corners) * stride
    extent = (share[..., 2:4] * 2) ** 2 * stride
    return torch.cat([centre, extent, share[..., 4:]], -1)


def detector(decoded: bool) -> nn.Module:
    """With seeded weights and statistics."""
    torch.manual_seed(0)
    return trained_looking(Detector(decoded).eval())

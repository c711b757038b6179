"""torch_rounding for the operators that MobileViT adds: the same model of local errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_mobilevit import Attention, MobileViT, Resize
from torch_rounding import Bounds, Errors, rounding_bounds


class MobileViTErrors(Errors):
    def rules(self) -> dict[type[nn.Module], Callable[..., Tensor]]:
        return super().rules() | {
            nn.LayerNorm: self.layer_norm,
            nn.SiLU: self.silu,
            Attention: self.attention,
            Resize: self.resize,
        }

    def layer_norm(self, part: nn.LayerNorm, args: tuple[Tensor], out: Tensor) -> Tensor:
        """As batch norm in training mode, over the channels of a row."""
        x, count = args[0], args[0].shape[-1]
        variance, mean = torch.var_mean(x, -1, correction=0, keepdim=True)
        mean_error = math.sqrt(count) * self.sample(x.abs().mean(-1, keepdim=True))
        variance_error = math.sqrt(count + 3) * self.sample(variance)
        scale = torch.rsqrt(variance + part.eps)
        shape = -0.5 * variance_error * scale**3 + math.sqrt(3) * self.sample(scale)
        out = out + part.weight * (shape * (x - mean) - scale * mean_error)
        terms = part.weight.abs() * scale * (x.abs() + mean.abs())
        return out + 2 * self.sample(terms + part.bias.abs())

    def silu(self, part: nn.SiLU, args: tuple[Tensor], out: Tensor) -> Tensor:
        # The sigmoid's error, as in torch_rounding, and one product.
        return out + self.sample(out.abs() * (8 * torch.sigmoid(-args[0]) + math.sqrt(3)))

    def attention(self, part: Attention, args: tuple[Tensor], out: Tensor) -> Tensor:
        """Errors of exponentials are errors of the scores; the rest is two sums and a division."""
        q, k, v = part.split(args[0])
        scale, (tokens, size) = q.shape[-1] ** -0.5, q.shape[-2:]
        scores = scale * q @ k.transpose(-1, -2)
        magnitude = math.sqrt(size) * scale * (q.abs() @ k.abs().transpose(-1, -2))
        below = scores.amax(-1, keepdim=True) - scores
        noisy = scores + self.sample(magnitude + 2 * scores.abs() + below + 8)
        weights = torch.softmax(noisy, -1)
        row = 1 + self.sample(torch.full_like(scores[..., :1], math.sqrt(tokens) + 1))
        result = row * (weights @ v)
        result += math.sqrt(tokens) * self.sample(weights @ v.abs()) + self.sample(result.abs())
        return result.transpose(1, 2).flatten(2)

    def resize(self, part: Resize, args: tuple[Tensor, tuple[int, int]], out: Tensor) -> Tensor:
        """Places are from / to times a number, less 1/2: an error of the weights, per axis."""
        x, size = args
        if x.shape[2:] == size:
            return out
        for axis in (2, 3):
            start, count = x.shape[axis], size[axis - 2]
            place = (torch.arange(count, dtype=x.dtype) + 0.5) * start / count
            low = (place - 0.5).clamp_min(0).long().clamp_max(start - 1)
            high = (low + 1).clamp_max(start - 1)
            slope = x.index_select(axis, high) - x.index_select(axis, low)
            slope = F.interpolate(slope, size, mode="bilinear", align_corners=False)
            error = math.sqrt(3) * self.sample(place)
            out = out + slope * (error[:, None] if axis == 2 else error)
        terms = F.interpolate(x.abs(), size, mode="bilinear", align_corners=False)
        return out + math.sqrt(7) * self.sample(terms)


def mobilevit_bounds(module: MobileViT, x: Tensor, **options: int | bool) -> Bounds:
    """`torch_rounding.rounding_bounds` of a MobileViT."""
    return rounding_bounds(module, x, errors=MobileViTErrors, **options)

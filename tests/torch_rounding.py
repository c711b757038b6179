"""How far float32 results may stray from exact ones: the tests' tolerances, derived and measured.

Local errors: the float32 sum of n terms, in any order, errs by about u sqrt(n) sum|terms| or less,
u = 2^-24 (Higham & Mary, "A new approach to probabilistic rounding error analysis", 2019, Theorem
2.4: lambda sqrt(n) u bounds the relative error with probability 1 - 2 exp(-lambda^2 / 2)). That is
taken as the standard deviation of every operator's error, the rounding of products included.

Propagation: Monte Carlo arithmetic (Parker 1997). The float64 reference runs again with seeded
random errors of these deviations added to every operator's result; how far its outputs move is the
deviation sigma of the outputs, correlations included. A comparison of N values may then differ by
sqrt(2 ln(2 N / p)) sigma, which a subgaussian error exceeds with probability p = 1e-9 or less. For
sigma, the largest channel's root mean square is used: channels differ in scale, pixels much less.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch_mobileone import Pool, Scale, Sum

UNIT_ROUNDOFF = 2.0**-24
FALSE_ALARM = 1e-9


class Network(Protocol):
    """A module in stages, as those of torch_mobileone and torch_mobilevit."""

    def features(self, x: Tensor) -> list[Tensor]: ...
    def head(self, last: Tensor) -> Tensor: ...
    def modules(self) -> Iterator[nn.Module]: ...
    def state_dict(self) -> dict[str, Tensor]: ...
    def load_state_dict(self, state: dict[str, Tensor]) -> object: ...


@dataclass
class Bounds:
    """Largest admissible absolute error: per feature level, at the logits, per statistic."""

    features: list[float]
    logits: float
    statistics: dict[str, float]


class Errors:
    """Forward hooks that add one sample of float32 rounding errors to every operator's result.

    `random` is to be seeded before each.
    """

    def __init__(self, module: Network, rounded_weights: bool) -> None:
        self.random = torch.Generator()
        self.rounded_weights = rounded_weights
        rules = self.rules()
        for part in module.modules():
            if type(part) in rules:
                part.register_forward_hook(rules[type(part)])

    def rules(self) -> dict[type[nn.Module], Callable[..., Tensor]]:
        return {
            nn.Conv2d: self.weighted_sum,
            nn.Linear: self.weighted_sum,
            nn.BatchNorm2d: self.batch_norm,
            Sum: self.sum,
            Pool: self.pool,
            nn.Sigmoid: self.sigmoid,
            Scale: self.scale,
        }

    def sample(self, deviation: Tensor) -> Tensor:
        """Errors of +-deviation, the sign independent per element; float32 has digits enough."""
        signs = torch.randint(0, 2, deviation.shape, generator=self.random, dtype=torch.int8)
        scaled = deviation.float() * UNIT_ROUNDOFF
        return signs.mul_(2).sub_(1) * scaled

    def weighted_sum(self, part: nn.Conv2d | nn.Linear, args: tuple[Tensor], out: Tensor) -> Tensor:
        def apply(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            if isinstance(part, nn.Linear):
                return F.linear(x, weight, bias)
            return F.conv2d(x, weight, bias, part.stride, part.padding, 1, part.groups)

        x, weight = args[0].float(), part.weight.abs().float()
        bias = None if part.bias is None else part.bias.abs().float()
        terms = weight[0].numel() + (bias is not None)
        error = math.sqrt(terms) * self.sample(apply(x.abs(), weight, bias))
        if self.rounded_weights:  # the same error at every position
            bias = None if bias is None else self.sample(bias)
            error += apply(x, self.sample(weight), bias)
        return out + error

    def batch_norm(self, part: nn.BatchNorm2d, args: tuple[Tensor], out: Tensor) -> Tensor:
        x, count = args[0], args[0].numel() // args[0].shape[1]
        variance, mean = part.running_var, part.running_mean
        mean_error = variance_error = torch.zeros_like(mean)
        if part.training:
            variance, mean = torch.var_mean(x, (0, 2, 3), correction=0)
            # Sums of `count` terms; a squared deviation has three roundings of its own.
            mean_error = math.sqrt(count) * self.sample(x.abs().mean((0, 2, 3)))
            variance_error = math.sqrt(count + 3) * self.sample(variance)
            self.blur_statistics(part, mean, variance, mean_error, variance_error, count)
        channel = (slice(None), None, None)
        gain = part.weight / torch.sqrt(variance + part.eps)
        shape = -0.5 * variance_error / (variance + part.eps) * gain
        # (var + eps), sqrt, gamma / sqrt: an error of the gain, equal all over the channel.
        shape = shape + math.sqrt(3) * self.sample(gain.abs())
        out = out + shape[channel] * (x - mean[channel]) - (gain * mean_error)[channel]
        # y = gain x + (beta - gain mean): at most four roundings of each term.
        terms = x.abs() * gain.abs()[channel] + (gain * mean).abs()[channel]
        return out + 2 * self.sample(terms + part.bias.abs()[channel])

    def blur_statistics(
        self,
        part: nn.BatchNorm2d,
        mean: Tensor,
        variance: Tensor,
        mean_error: Tensor,
        variance_error: Tensor,
        count: int,
    ) -> None:
        """Errors of (1 - m) running + m batch: the batch's own, three roundings of each term."""
        momentum, unbiased = part.momentum, count / (count - 1)
        for running, batch, error in (
            (part.running_mean, mean, mean_error),
            (part.running_var, variance * unbiased, variance_error * unbiased),
        ):
            running += momentum * error
            running += math.sqrt(3) * self.sample(running.abs() + 2 * momentum * batch.abs())

    def sum(self, part: Sum, terms: tuple[Tensor, ...], out: Tensor) -> Tensor:
        magnitude = sum((term.abs() for term in terms[1:]), terms[0].abs())
        return out + math.sqrt(len(terms)) * self.sample(magnitude)

    def pool(self, part: Pool, args: tuple[Tensor], out: Tensor) -> Tensor:
        pixels = args[0].shape[2] * args[0].shape[3]
        return out + math.sqrt(pixels) * self.sample(args[0].abs().mean((2, 3), keepdim=True))

    def sigmoid(self, part: nn.Sigmoid, args: tuple[Tensor], out: Tensor) -> Tensor:
        # 1 / (1 + e): exp(-x) to 4 units in the last place (8 u), then two roundings.
        return out + self.sample(8 * out * (1 - out) + math.sqrt(2) * out)

    def scale(self, part: Scale, args: tuple[Tensor, Tensor], out: Tensor) -> Tensor:
        return out + self.sample(out.abs())


def _outputs(module: Network, x: Tensor) -> tuple[list[Tensor], dict[str, Tensor]]:
    with torch.no_grad():
        features = module.features(x)
        results = [*features, module.head(features[-1])]
    state = module.state_dict()
    return results, {k: v.clone() for k, v in state.items() if "running_" in k}


def rounding_bounds(
    module: Network,
    x: Tensor,
    *,
    compared: int = 0,
    rounded_weights: bool = False,
    samples: int = 1,
    seed: int = 0,
    errors: type[Errors] = Errors,
) -> Bounds:
    """Bounds for an engine that runs ``module`` (in its present mode) on ``x`` in float32.

    ``compared`` is the number of images compared, len(x) by default: ``x`` may be a sample of them.
    ``rounded_weights`` tells that the engine's weights are this module's rounded to float32.
    """
    noisy = copy.deepcopy(module)
    exact, exact_statistics = _outputs(noisy, x)
    squares = [torch.zeros(out.shape[1], dtype=torch.float64) for out in exact]
    statistic_squares = {k: torch.zeros_like(v) for k, v in exact_statistics.items()}
    added = errors(noisy, rounded_weights)
    for sample in range(samples):
        noisy.load_state_dict(module.state_dict())  # in training, a run changes statistics
        added.random.manual_seed(seed * 1000 + sample)
        outputs, statistics = _outputs(noisy, x)
        for total, a, b in zip(squares, exact, outputs, strict=True):
            axes = [axis for axis in range(a.ndim) if axis != 1]
            total += (a - b).square().mean(axes) / samples
        for name, total in statistic_squares.items():
            total += (statistics[name] - exact_statistics[name]).square() / samples

    def bound(square: Tensor, count: int) -> float:
        return math.sqrt(2 * math.log(2 * count / FALSE_ALARM) * float(square.max()))

    factor = (compared or len(x)) / len(x)
    levels = [
        bound(square, math.ceil(out.numel() * factor))
        for square, out in zip(squares, exact, strict=True)
    ]
    return Bounds(
        levels[:-1],
        levels[-1],
        {name: bound(square, square.numel()) for name, square in statistic_squares.items()},
    )

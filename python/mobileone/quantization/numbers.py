"""The numbers of integer arithmetic: ranges of activations, and a convolution's integers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mobileone.data.arrays import Float32

__all__ = ["FLOATS", "LARGEST_BYTE", "LARGEST_WEIGHT", "Integers", "Range", "bias_integers"]
__all__ += ["least_weight_scale", "sqnr"]

LARGEST_BYTE = 255
LARGEST_WEIGHT = 127
# Of a bias: what a sum of products leaves of 32 bits, as float32 holds it.
_LARGEST_BIAS = float(1 << 30)
_SMALLEST_SCALE = 2.0**-100


@dataclass(frozen=True)
class Range:
    """What the integers 0 to 255 stand for: (q - zero_point) * scale.

    Attributes:
        scale: a float32.
        zero_point: which integer is 0.
    """

    scale: float
    zero_point: int

    @classmethod
    def of(cls, low: float, high: float) -> Range:
        """The finest that reaches from `low` to `high` and has 0; of one value 0 the scale is 1."""
        low, high = min(low, 0.0), max(high, 0.0)
        if high == low:
            return cls(1.0, 0)
        scale = float(np.float32(max((high - low) / LARGEST_BYTE, _SMALLEST_SCALE)))
        return cls(scale, int(np.clip(np.rint(-low / scale), 0, LARGEST_BYTE)))

    def widened(self, share: float) -> Range:
        """With so much more on either side of 0 that it reaches to."""
        return Range.of(self.low * (1.0 + share), self.high * (1.0 + share))

    @property
    def low(self) -> float:
        """The least number that it has."""
        return -self.zero_point * self.scale

    @property
    def high(self) -> float:
        """The largest number that it has."""
        return (LARGEST_BYTE - self.zero_point) * self.scale

    def rounded(self, values: Float32) -> Float32:
        """The nearest numbers that it has, as float32."""
        integers: Float32 = np.rint(values / np.float32(self.scale))
        np.clip(integers, -self.zero_point, LARGEST_BYTE - self.zero_point, out=integers)
        integers *= np.float32(self.scale)
        return integers


# The unit of a result that is not rounded.
FLOATS = Range(1.0, 0)


@dataclass(frozen=True, eq=False)
class Integers:
    """A convolution in integers.

    Attributes:
        input: what its input's integers stand for.
        output: what its result's stand for.
        weight: integers -127 to 127, [out, in / groups, kh, kw], as float32.
        weight_scale: per output channel.
        bias: integers in units of input scale * weight scale, as float32.
    """

    input: Range
    output: Range
    weight: Float32
    weight_scale: Float32
    bias: Float32

    @property
    def multiplier(self) -> Float32:
        """From the sum's unit to the output's, per output channel: float32 of 22 bits, which
        kernels multiply sums with in one fused operation, exactly rounded.
        """
        unit = self.weight_scale.astype(np.float64) * self.input.scale
        bits = (unit / self.output.scale).astype(np.float32).view(np.uint32)
        short: Float32 = ((bits + 2) & np.uint32(0xFFFFFFFC)).view(np.float32)
        return short

    def float_weight(self) -> Float32:
        """What the weight's integers stand for."""
        return self.weight * self.weight_scale.reshape(-1, 1, 1, 1)

    def float_bias(self) -> Float32:
        """What the bias's integers stand for."""
        unit = self.weight_scale.astype(np.float64) * self.input.scale
        return (self.bias * unit).astype(np.float32)


def bias_integers(
    bias: npt.NDArray[np.float64], input_scale: float, weight_scale: Float32
) -> Float32:
    """A bias in units of its sum, rounded to what float32 and the engine's 32 bits hold."""
    integers = np.rint(bias / (weight_scale.astype(np.float64) * input_scale))
    return np.clip(integers, -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.float32)


def least_weight_scale(bias: npt.NDArray[np.float64], input_scale: float) -> Float32:
    """Below which a bias does not fit; what channels without any weight have.

    2^-22 of a bias is as fine as float32 sums are.
    """
    least = np.abs(bias) / (input_scale * float(1 << 22))
    return np.maximum(least, _SMALLEST_SCALE).astype(np.float32)


def sqnr(expected: npt.NDArray[np.floating], found: npt.NDArray[np.floating]) -> float:
    """Signal to quantization noise in dB: 10 log10(sum x^2 / sum (y - x)^2)."""
    x = expected.astype(np.float64, copy=False)
    noise = float(np.square(found - x).sum())
    signal = float(np.square(x).sum())
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(signal / noise)) if signal > 0.0 else float("-inf")

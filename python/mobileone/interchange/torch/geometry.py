"""What a merged convolution looks at: its patches, and how each branch's kernel lies in them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """The convolution that a sum of branches is: every field but `channels` as in `nn.Conv2d`.

    Patches are those of the merged kernel. `channels` is (in, out); a group has ``taps`` inputs per
    output pixel, in the order (input channel of the group, kernel row, kernel column).
    """

    channels: Pair
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def group_in(self) -> int:
        """Input channels of a group."""
        return self.channels[0] // self.groups

    @property
    def group_out(self) -> int:
        """Output channels of a group."""
        return self.channels[1] // self.groups

    @property
    def area(self) -> int:
        """Taps of a kernel per input channel."""
        return self.kernel[0] * self.kernel[1]

    @property
    def taps(self) -> int:
        """Elements of a group's patch."""
        return self.group_in * self.area

    @property
    def centre(self) -> int:
        """The tap, of `area`, at which an identity branch looks."""
        rows, columns = (p // d for p, d in zip(self.padding, self.dilation, strict=True))
        return rows * self.kernel[1] + columns

    @property
    def is_pixelwise(self) -> bool:
        """Whether each input pixel is one patch."""
        return self.area == 1 and self.stride == (1, 1) and self.padding == (0, 0)

    @property
    def is_depthwise(self) -> bool:
        """Whether it is 3 × 3 on single channels, padded by a pixel; any outputs of each."""
        window = self.kernel, self.padding, self.dilation
        return self.group_in == 1 and window == ((3, 3), (1, 1), (1, 1))

    def as_list(self) -> list[int]:
        """Every field in order: what an operator of PyTorch takes."""
        axes = (self.channels, self.kernel, self.stride, self.padding, self.dilation)
        return [value for axis in axes for value in axis] + [self.groups]

    @classmethod
    def from_list(cls, values: list[int]) -> Geometry:
        """The inverse of `as_list`."""
        pairs = [(values[i], values[i + 1]) for i in range(0, 10, 2)]
        return cls(pairs[0], pairs[1], pairs[2], pairs[3], pairs[4], values[10])

    def output_size(self, height: int, width: int) -> Pair:
        """Rows and columns of the result for an image of this size."""
        sizes = zip((height, width), *self._axes, strict=True)
        rows, columns = ((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in sizes)
        return rows, columns

    @property
    def _axes(self) -> tuple[Pair, Pair, Pair, Pair]:
        return self.kernel, self.stride, self.padding, self.dilation

    def margins(self, kernel: Pair) -> Pair | None:
        """Rows and columns of zeros on each side that make a kernel the merged one's size."""
        result = [(outer - inner) // 2 for outer, inner in zip(self.kernel, kernel, strict=True)]
        return (result[0], result[1]) if min(result) >= 0 else None


def of_convolution(conv: nn.Conv2d) -> Geometry | None:
    """A branch's own geometry; None where it is not zero-padded by known, symmetric amounts."""
    if conv.padding_mode != "zeros":
        return None
    kernel, stride, dilation = _pair(conv.kernel_size), _pair(conv.stride), _pair(conv.dilation)
    if conv.padding == "same":
        total = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
        if total[0] % 2 or total[1] % 2:
            return None
        padding = (total[0] // 2, total[1] // 2)
    elif conv.padding == "valid":
        padding = (0, 0)
    else:
        padding = _pair(conv.padding)  # type: ignore[arg-type]
    channels = (conv.in_channels, conv.out_channels)
    return Geometry(channels, kernel, stride, padding, dilation, conv.groups)


def merged(parts: list[Geometry | None], channels: int) -> Geometry | None:
    """The smallest geometry that holds every branch; None where no single convolution does.

    Args:
        parts: one per branch; None stands for an identity branch of ``channels`` channels.
    """
    convolutions = [part for part in parts if part is not None]
    if not convolutions:
        return None
    widest = max(convolutions, key=lambda part: part.area)
    identity = Geometry((channels, channels), (1, 1), groups=widest.groups)
    return widest if all(_fits(part or identity, widest) for part in parts) else None


def _fits(part: Geometry, whole: Geometry) -> bool:
    if (part.channels, part.stride, part.groups) != (whole.channels, whole.stride, whole.groups):
        return False
    axes = zip(
        part.kernel,
        whole.kernel,
        part.padding,
        whole.padding,
        part.dilation,
        whole.dilation,
        strict=True,
    )
    for k, K, p, P, d, D in axes:  # noqa: N806
        # Tap t of the part lies on tap t + (P - p) / D of the whole, the same number of taps in
        # from either end, so that both results have one size.
        if k > K or (k > 1 and d != D) or 2 * (P - p) != D * (K - k) or (P - p) % D:
            return False
    return True


def _pair(value: tuple[int, ...]) -> Pair:
    rows, columns = value
    return rows, columns

"""Convolutional networks without inverted residuals: RepVGG, ShuffleNetV2, MobileNeXt."""

from __future__ import annotations

from mobileone._core import Graph
from mobileone.studies.architectures.layers import Layers, divisible

__all__ = ["mobilenext", "repvgg", "shufflenet_v2"]

# Ding et al. 2021, tables 2 and 3: layers of the stages, and the widths' two factors.
_REPVGG_LAYERS = {"A": (2, 4, 14, 1), "B": (4, 6, 16, 1)}
_REPVGG = {"A0": (0.75, 2.5), "A1": (1.0, 2.5), "A2": (1.5, 2.75), "B0": (1.0, 2.5)}
_REPVGG |= {"B1": (2.0, 4.0), "B2": (2.5, 5.0)}


def repvgg(variant: str) -> Graph:
    """Ding et al. 2021, with one convolution per block."""
    net = Layers()
    a, b = _REPVGG[variant]
    x = net.conv(net.image, min(64, int(64 * a)), 3, 2, "relu")
    widths = (int(64 * a), int(128 * a), int(256 * a), int(512 * b))
    for width, count in zip(widths, _REPVGG_LAYERS[variant[0]], strict=True):
        for i in range(count):
            x = net.conv(x, width, 3, 1 if i else 2, "relu")
    return net.classified(x)


def shufflenet_v2(width: int) -> Graph:
    """Ma et al. 2018, table 5; width 1 or 2."""
    net = Layers()
    stages, last = {1: ((116, 232, 464), 1024), 2: ((244, 488, 976), 2048)}[width]
    x = net.conv(net.image, 24, 3, 2, "relu")
    sides = [(side - 1) // 2 + 1 for side in net.shapes[x][1:]]
    x = net.add("MaxPool", [x], (24, *sides), kernel_size=3, stride=2, padding=1)
    for channels, count in zip(stages, (4, 8, 4), strict=True):
        for i in range(count):
            x = _shuffle_unit(net, x, channels, 1 if i else 2)
    return net.classified(net.conv(x, last, act="relu"))


def _shuffle_unit(net: Layers, x: str, channels: int, stride: int) -> str:
    """Figure 3, (c) and (d)."""
    half = channels // 2
    kept, y = x, x
    if stride == 1:
        kept, y = (net.sliced(x, 1, begin, begin + half) for begin in (0, half))
    else:
        kept = net.conv(net.depthwise(x, 3, stride), half, act="relu")
    y = net.depthwise(net.conv(y, half, act="relu"), 3, stride)
    joined = net.concat([kept, net.conv(y, half, act="relu")])
    shape = net.shapes[joined]
    pairs = net.transposed(net.reshaped(joined, (2, half, *shape[1:])), (0, 2, 1, 3, 4))
    return net.reshaped(pairs, shape)


def mobilenext(width: float = 1.0) -> Graph:
    """Zhou et al. 2020, table 2: sandglass blocks, the identity between the wide ends."""
    net = Layers()
    x = net.conv(net.image, divisible(32 * width), 3, 2, "relu6")
    stages = [(2, 96, 1, 2), (6, 144, 1, 1), (6, 192, 3, 2), (6, 288, 3, 2), (6, 384, 4, 1)]
    for reduction, channels, count, stride in (*stages, (6, 576, 4, 2), (6, 960, 3, 1),
                                               (6, 1280, 1, 1)):  # fmt: skip
        for i in range(count):
            x = _sandglass(net, x, reduction, divisible(channels * width), 1 if i else stride)
    return net.classified(x)


def _sandglass(net: Layers, x: str, reduction: int, channels: int, stride: int) -> str:
    """Figure 3 (c). Where the channels change the first depthwise convolution is left out, and at
    stride 1 the second, as in the authors' network (but for the first block)."""
    given = net.shapes[x][0]
    narrow = divisible(max(given // reduction, -(-channels // 6)), 16)
    same = stride == 1 and given == channels
    y = net.depthwise(x, 3, 1, "relu6") if same or reduction == 2 else x
    y = net.conv(net.conv(y, narrow), channels, act="relu6")
    if same or stride == 2:
        y = net.depthwise(y, 3, stride)
    return net.plus(x, y) if same else y

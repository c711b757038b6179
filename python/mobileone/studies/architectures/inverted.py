"""Networks of inverted residuals (Sandler et al. 2018): an expansion, a depthwise convolution,
squeeze-and-excitation, a projection; and MobileNetV1, where it began."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mobileone._core import Graph
from mobileone.studies.architectures.layers import Layers, divisible

__all__ = ["efficientnet_b0", "mixnet_s", "mnasnet_a1", "mobilenet_v1", "mobilenet_v2"]
__all__ += ["mobilenet_v3_large", "mobilenet_v3_small"]


class Block(NamedTuple):
    """Expanded channels (those of the input: no expansion), channels, kernel, stride, squeezed
    channels (0: none), the activation, the gate and the activation before it."""

    expanded: int
    channels: int
    kernel: int
    stride: int
    reduced: int
    act: str
    gate: str = "sigmoid"
    gate_act: str = "relu"


def _residual(net: Layers, x: str, block: Block) -> str:
    given = net.shapes[x][0]
    y = x if block.expanded == given else net.conv(x, block.expanded, act=block.act)
    y = net.depthwise(y, block.kernel, block.stride, block.act)
    if block.reduced:
        y = net.squeeze_excite(y, block.reduced, block.gate_act, block.gate)
    y = net.conv(y, block.channels)
    return net.plus(x, y) if block.stride == 1 and given == block.channels else y


def mobilenet_v1() -> Graph:
    """Howard et al. 2017, table 1."""
    net, act = Layers(), "relu6"
    x = net.conv(net.image, 32, 3, 2, act)
    rows = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)]
    for channels, stride in (*rows, *[(512, 1)] * 5, (1024, 2), (1024, 1)):
        x = net.conv(net.depthwise(x, 3, stride, act), channels, act=act)
    return net.classified(x)


def mobilenet_v2(width: float = 1.0) -> Graph:
    """Sandler et al. 2018, table 2; the last convolution never gets narrower."""
    net, act = Layers(), "relu6"
    given = divisible(32 * width)
    x = net.conv(net.image, given, 3, 2, act)
    stages = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1)]
    for expansion, channels, count, stride in (*stages, (6, 160, 3, 2), (6, 320, 1, 1)):
        for i in range(count):
            wide = divisible(channels * width)
            step = stride if i == 0 else 1
            x = _residual(net, x, Block(expansion * given, wide, 3, step, 0, act))
            given = wide
    return net.classified(net.conv(x, max(1280, divisible(1280 * width)), act=act))


# Howard et al. 2019, tables 1 and 2: kernel, expansion, channels, SE, hard-swish, stride.
_V3_LARGE = [
    (3, 16, 16, 0, 0, 1), (3, 64, 24, 0, 0, 2), (3, 72, 24, 0, 0, 1), (5, 72, 40, 1, 0, 2),
    (5, 120, 40, 1, 0, 1), (5, 120, 40, 1, 0, 1), (3, 240, 80, 0, 1, 2), (3, 200, 80, 0, 1, 1),
    (3, 184, 80, 0, 1, 1), (3, 184, 80, 0, 1, 1), (3, 480, 112, 1, 1, 1), (3, 672, 112, 1, 1, 1),
    (5, 672, 160, 1, 1, 2), (5, 960, 160, 1, 1, 1), (5, 960, 160, 1, 1, 1),
]  # fmt: skip
_V3_SMALL = [
    (3, 16, 16, 1, 0, 2), (3, 72, 24, 0, 0, 2), (3, 88, 24, 0, 0, 1), (5, 96, 40, 1, 1, 2),
    (5, 240, 40, 1, 1, 1), (5, 240, 40, 1, 1, 1), (5, 120, 48, 1, 1, 1), (5, 144, 48, 1, 1, 1),
    (5, 288, 96, 1, 1, 2), (5, 576, 96, 1, 1, 1), (5, 576, 96, 1, 1, 1),
]  # fmt: skip


def _mobilenet_v3(rows: Sequence[tuple[int, ...]], last: int, head: int, swish: str) -> Graph:
    net = Layers()
    x = net.conv(net.image, 16, 3, 2, swish)
    for kernel, expanded, channels, squeezed, swishes, stride in rows:
        act = swish if swishes else "relu"
        reduced = divisible(expanded / 4) if squeezed else 0
        block = Block(expanded, channels, kernel, stride, reduced, act, "hard_sigmoid")
        x = _residual(net, x, block)
    return net.classified(net.conv(x, last, act=swish), head, swish)


def mobilenet_v3_large(swish: str = "hard_swish") -> Graph:
    """Howard et al. 2019, table 1; the paper times it with ReLU in place of hard-swish."""
    return _mobilenet_v3(_V3_LARGE, 960, 1280, swish)


def mobilenet_v3_small(swish: str = "hard_swish") -> Graph:
    """Howard et al. 2019, table 2."""
    return _mobilenet_v3(_V3_SMALL, 576, 1024, swish)


class Stage(NamedTuple):
    """A row of a searched network's table; `squeeze`: of the channels of a block's input."""

    kernel: int
    expansion: int
    channels: int
    layers: int
    stride: int
    squeeze: float = 0.0


def _searched(stages: list[Stage], act: str, gate_act: str) -> Graph:
    net = Layers()
    x = net.conv(net.image, 32, 3, 2, act)
    for stage in stages:
        for i in range(stage.layers):
            given = net.shapes[x][0]
            block = Block(
                stage.expansion * given, stage.channels, stage.kernel,
                stage.stride if i == 0 else 1, int(given * stage.squeeze), act, gate_act=gate_act,
            )  # fmt: skip
            x = _residual(net, x, block)
    return net.classified(net.conv(x, 1280, act=act))


def efficientnet_b0() -> Graph:
    """Tan & Le 2019, table 1."""
    rows = [(3, 1, 16, 1, 1), (3, 6, 24, 2, 2), (5, 6, 40, 2, 2), (3, 6, 80, 3, 2)]
    rows += [(5, 6, 112, 3, 1), (5, 6, 192, 4, 2), (3, 6, 320, 1, 1)]
    return _searched([Stage(*row, 0.25) for row in rows], "silu", "silu")


def mnasnet_a1() -> Graph:
    """Tan et al. 2019, figure 7."""
    stages = [
        Stage(3, 1, 16, 1, 1), Stage(3, 6, 24, 2, 2), Stage(5, 3, 40, 3, 2, 0.25),
        Stage(3, 6, 80, 4, 2), Stage(3, 6, 112, 2, 1, 0.25), Stage(5, 6, 160, 3, 2, 0.25),
        Stage(3, 6, 320, 1, 1),
    ]  # fmt: skip
    return _searched(stages, "relu", "relu")


# Tan & Le 2019 (MixConv), figure 4: kernels, groups of the expansion and of the projection,
# expansion, channels, stride, squeezed share, count.
_MIXNET = [
    ((3,), 1, 1, 1, 16, 1, 0, 1), ((3,), 2, 2, 6, 24, 2, 0, 1), ((3,), 2, 2, 3, 24, 1, 0, 1),
    ((3, 5, 7), 1, 1, 6, 40, 2, 0.5, 1), ((3, 5), 2, 2, 6, 40, 1, 0.5, 3),
    ((3, 5, 7), 1, 2, 6, 80, 2, 0.25, 1), ((3, 5), 1, 2, 6, 80, 1, 0.25, 2),
    ((3, 5, 7), 2, 2, 6, 120, 1, 0.5, 1), ((3, 5, 7, 9), 2, 2, 3, 120, 1, 0.5, 2),
    ((3, 5, 7, 9, 11), 1, 1, 6, 200, 2, 0.5, 1), ((3, 5, 7, 9), 1, 2, 6, 200, 1, 0.5, 2),
]  # fmt: skip


def _shares(channels: int, count: int) -> list[tuple[int, int]]:
    """Equal shares of the channels, the first one the larger where they do not divide."""
    share = channels // count
    ends = [channels - share * (count - 1 - i) for i in range(count)]
    return list(zip([0, *ends], ends, strict=False))


def _mixed(net: Layers, x: str, kernels: tuple[int, ...], stride: int) -> str:
    """A depthwise convolution of each share of the channels."""
    if len(kernels) == 1:
        return net.depthwise(x, kernels[0], stride)
    shares = _shares(net.shapes[x][0], len(kernels))
    return net.concat([
        net.depthwise(net.sliced(x, 1, *share), kernel, stride)
        for kernel, share in zip(kernels, shares, strict=True)
    ])  # fmt: skip


def _grouped(net: Layers, x: str, channels: int, groups: int) -> str:
    """A 1x1 convolution of each share of the channels."""
    if groups == 1:
        return net.conv(x, channels)
    shares = _shares(net.shapes[x][0], groups)
    parts = [net.conv(net.sliced(x, 1, *share), channels // groups) for share in shares]
    return net.concat(parts)


def mixnet_s() -> Graph:
    """Tan & Le 2019 (MixConv)."""
    net = Layers()
    x = net.conv(net.image, 16, 3, 2, "relu")
    for kernels, first, last, expansion, channels, stride, squeeze, count in _MIXNET:
        act = "silu" if squeeze else "relu"
        for i in range(count):
            given, step = net.shapes[x][0], stride if i == 0 else 1
            y = x if expansion == 1 else net.act(_grouped(net, x, expansion * given, first), act)
            y = net.act(_mixed(net, y, kernels, step), act)
            if squeeze:
                y = net.squeeze_excite(y, int(given * squeeze), act, "sigmoid")
            y = _grouped(net, y, channels, last)
            x = net.plus(x, y) if step == 1 and given == channels else y
    return net.classified(net.conv(x, 1536, act="relu"))

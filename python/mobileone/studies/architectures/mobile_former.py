"""Mobile-Former (Chen et al. 2022): inverted residuals beside a transformer of a few tokens, which
look at the map and at which the map looks, and whose first one bends the map's ReLUs.

Of the authors' release what the paper times: queries from tokens alone (the map is key and value
as it is), ReLUs without offsets. Scales are part of the weights: of the queries (equations 1 and 2)
and, twice the gate, of the projection after it.
"""

from __future__ import annotations

from typing import NamedTuple

from mobileone._core import Graph
from mobileone.studies.architectures.layers import Layers

__all__ = ["mobile_former"]

_MAP_HEADS, _TOKEN_HEADS = 2, 4
_EPS = 1e-5


class _Stage(NamedTuple):
    """Channels; how many times as many the first and the second depthwise convolution have (0:
    there is no second, and nothing but convolutions); stride 2 filters before it expands."""

    channels: int
    first: int
    second: int
    stride: int = 1


class _Variant(NamedTuple):
    """Tokens, their features, the stem's channels, the head's features."""

    tokens: int
    features: int
    stem: int
    head: int
    stages: tuple[_Stage, ...]


# Chen et al. 2022, tables 9 and 10 of the supplement.
_VARIANTS = {
    "52": _Variant(3, 128, 8, 1024, (
        _Stage(12, 3, 0, 2), _Stage(12, 3, 3), _Stage(24, 6, 4, 2), _Stage(24, 3, 3),
        _Stage(48, 6, 4, 2), _Stage(48, 4, 4), _Stage(64, 6, 4), _Stage(96, 6, 4, 2),
        _Stage(96, 6, 4),
    )),
    "96": _Variant(4, 128, 12, 1280, (
        _Stage(12, 2, 0), _Stage(16, 6, 4, 2), _Stage(32, 6, 4, 2), _Stage(32, 3, 3),
        _Stage(64, 6, 4, 2), _Stage(64, 4, 4), _Stage(88, 6, 4), _Stage(128, 6, 4, 2),
        _Stage(128, 6, 4),
    )),
}  # fmt: skip


def mobile_former(size: str) -> Graph:
    """Of 52 or 96 million multiply-adds; figure 2 and table 1."""
    variant = _VARIANTS[size]
    net = Layers()
    x = net.conv(net.image, variant.stem, 3, 2, "relu6")
    token = net.constant(1, variant.tokens, variant.features)
    tokens = net.add("Expand", [token, x], (variant.tokens, variant.features))
    for stage in variant.stages:
        if not stage.second:
            wide = net.shapes[x][0] * stage.first
            y = net.conv(net.depthwise(x, 3, stage.stride, "relu6", wide), stage.channels)
            x = net.plus(x, y) if net.shapes[y] == net.shapes[x] else y
        else:
            tokens = _former(net, _look_at_map(net, tokens, x))
            make = _expanded_by_depthwise if stage.stride == 2 else _expanded
            x = _look_at_tokens(net, make(net, x, tokens, stage), tokens)
    return _classified(net, x, _look_at_map(net, tokens, x), variant.head)


def _expanded(net: Layers, x: str, tokens: str, stage: _Stage) -> str:
    """The mobile block: an inverted residual."""
    wide = net.shapes[x][0] * stage.first
    y = _dynamic_relu(net, net.conv(x, wide), tokens)
    y = net.conv(_dynamic_relu(net, net.depthwise(y, 3), tokens), stage.channels)
    return net.plus(x, y) if net.shapes[y] == net.shapes[x] else y


def _expanded_by_depthwise(net: Layers, x: str, tokens: str, stage: _Stage) -> str:
    """The same where the map gets smaller: two depthwise convolutions that expand."""
    wide = net.shapes[x][0] * stage.first
    y = _dynamic_relu(net, net.depthwise(x, 3, stage.stride, channels=wide), tokens)
    x = net.conv(y, stage.channels)
    y = net.depthwise(x, 3, channels=stage.channels * stage.second)
    return net.plus(net.conv(_dynamic_relu(net, y, tokens), stage.channels), x)


def _dynamic_relu(net: Layers, x: str, tokens: str) -> str:
    """Chen et al. 2020, without offsets: max(2 s x, (2 s' - 1) x), s of the first token."""
    channels, features = net.shapes[x][0], net.shapes[tokens][1]
    first = net.linear(net.sliced(tokens, 1, 0, 1), features // 4, "relu")
    slopes = net.linear(first, 2 * channels, "hard_sigmoid")
    slopes = net.reshaped(slopes, (2 * channels, 1, 1))
    return net.add("DynamicMax", [x, slopes], net.shapes[x], channels=channels, offsets=False)


def _together(net: Layers, x: str) -> str:
    """[tokens, features] of columns of heads."""
    heads, size, tokens = net.shapes[x]
    return net.reshaped(net.transposed(x, (0, 3, 1, 2)), (tokens, heads * size))


def _pixels(net: Layers, x: str) -> str:
    """[heads, channels of one, pixels] of a map."""
    channels, height, width = net.shapes[x]
    return net.reshaped(x, (_MAP_HEADS, channels // _MAP_HEADS, height * width))


def _look_at_map(net: Layers, tokens: str, x: str) -> str:
    """Equation 1, Mobile to Former: tokens plus what they attend to in the map, gated."""
    channels, features = net.shapes[x][0], net.shapes[tokens][1]
    pixels = _pixels(net, x)
    query = net.rows_of_heads(net.linear(tokens, channels), _MAP_HEADS)
    attention = net.softmax(net.product(query, pixels), 3)
    found = net.product(pixels, net.transposed(attention, (0, 1, 3, 2)))
    gate = net.linear(tokens, channels, "hard_sigmoid")
    gated = net.add("Multiply", [_together(net, found), gate], net.shapes[gate])
    return net.norm(net.plus(tokens, net.linear(gated, features)), _EPS)


def _former(net: Layers, tokens: str) -> str:
    """Attention among tokens, which are key and value as they are, and a feed-forward network."""
    features = net.shapes[tokens][1]
    query = net.rows_of_heads(net.linear(tokens, features), _TOKEN_HEADS)
    values = net.columns_of_heads(tokens, _TOKEN_HEADS)
    attention = net.softmax(net.product(query, values), 3)
    found = net.product(values, net.transposed(attention, (0, 1, 3, 2)))
    tokens = net.norm(net.plus(tokens, net.linear(_together(net, found), features)), _EPS)
    hidden = net.linear(tokens, 2 * features, "gelu")
    return net.norm(net.plus(tokens, net.linear(hidden, features)), _EPS)


def _look_at_tokens(net: Layers, x: str, tokens: str) -> str:
    """Equation 2, Former to Mobile: the map plus what every pixel attends to in the tokens."""
    channels = net.shapes[x][0]
    key = net.rows_of_heads(net.linear(tokens, channels), _MAP_HEADS)
    value = net.columns_of_heads(net.linear(tokens, channels), _MAP_HEADS)
    attention = net.softmax(net.product(key, _pixels(net, x)), 2)
    return net.plus(x, net.reshaped(net.product(value, attention), net.shapes[x]))


def _classified(net: Layers, x: str, tokens: str, head: int) -> Graph:
    """Of the pooled map and the first token."""
    wide = net.conv(x, 6 * net.shapes[x][0], act="relu6")
    pooled = net.add("GlobalAvgPool", [wide], (net.shapes[wide][0], 1, 1))
    pooled = net.act(net.reshaped(pooled, (net.shapes[wide][0],)), "hard_swish")
    first = net.reshaped(net.sliced(tokens, 1, 0, 1), (net.shapes[tokens][1],))
    hidden = net.linear(net.concat([pooled, first]), head, "hard_swish")
    return net.finish(net.linear(hidden, 1000))

"""Vision transformers of the paper's Table 9: DeiT, PiT, ConViT."""

from __future__ import annotations

from mobileone._core import Graph
from mobileone.studies.architectures.layers import Layers

__all__ = ["convit_tiny", "deit_tiny", "pit_tiny"]

_EPS = 1e-6


def deit_tiny() -> Graph:
    """Touvron et al. 2021, table 1, without distillation."""
    net = Layers()
    x = _constant_plus(net, _with_class(net, _tokens(net, net.conv(net.image, 192, 16, 16,
                                                                   padding=0))))  # fmt: skip
    for _ in range(12):
        x = _layer(net, x, 3)
    return _class_logits(net, net.norm(x, _EPS))


def pit_tiny() -> Graph:
    """Heo et al. 2021, table 1: depthwise convolutions of stride 2 between the stages, which also
    double the class token's features."""
    net = Layers()
    x = net.conv(net.image, 64, 16, 8, padding=0)
    x = _constant_plus(net, x)
    token = ""
    for stage, (depth, heads) in enumerate(((2, 2), (6, 4), (4, 8))):
        if stage:
            features = 2 * net.shapes[x][0]
            x = net.conv(x, features, 3, 2, groups=features // 2)
            token = net.linear(token, features)
        channels, height, width = net.shapes[x]
        tokens = _tokens(net, x)
        y = net.concat([token, tokens]) if token else _with_class(net, tokens)
        for _ in range(depth):
            y = _layer(net, y, heads)
        token = net.sliced(y, 1, 0, 1)
        pixels = net.transposed(net.sliced(y, 1, 1, 1 + height * width), (0, 2, 1))
        x = net.reshaped(pixels, (channels, height, width))
    return net.finish(net.linear(_flat(net, net.norm(token, _EPS)), 1000))


def convit_tiny() -> Graph:
    """d'Ascoli et al. 2021, table 1: ten layers of gated positional self-attention, whose
    positional half is the same for all images, then two with a class token."""
    net = Layers()
    x = _constant_plus(net, _tokens(net, net.conv(net.image, 192, 16, 16, padding=0)))
    for _ in range(10):
        x = net.plus(x, _gated_attention(net, net.norm(x, _EPS), 4))
        x = _feed_forward(net, x)
    x = _with_class(net, x)
    for _ in range(2):
        x = _layer(net, x, 4, bias=False)
    return _class_logits(net, net.norm(x, _EPS))


def _tokens(net: Layers, x: str) -> str:
    channels, height, width = net.shapes[x]
    return net.transposed(net.reshaped(x, (channels, height * width)), (0, 2, 1))


def _constant_plus(net: Layers, x: str) -> str:
    """Plus a position's embedding."""
    shape = net.shapes[x]
    return net.add("Arithmetic", [x, net.constant(1, *shape)], shape, kind="add")


def _with_class(net: Layers, x: str) -> str:
    features = net.shapes[x][1]
    token = net.add("Expand", [net.constant(1, 1, features), x], (1, features))
    return net.concat([token, x])


def _flat(net: Layers, x: str) -> str:
    """The one token."""
    return net.reshaped(x, net.shapes[x][1:])


def _class_logits(net: Layers, x: str) -> Graph:
    return net.finish(net.linear(_flat(net, net.sliced(x, 1, 0, 1)), 1000))


def _feed_forward(net: Layers, x: str) -> str:
    features = net.shapes[x][1]
    hidden = net.linear(net.norm(x, _EPS), 4 * features, "gelu")
    return net.plus(x, net.linear(hidden, features))


def _layer(net: Layers, x: str, heads: int, bias: bool = True) -> str:
    """x += proj(attention(norm x)); x += fc2(gelu(fc1(norm x)))."""
    tokens, features = net.shapes[x]
    qkv = net.linear(net.norm(x, _EPS), 3 * features, bias=bias)
    mixed = net.add("Attention", [qkv], (tokens, features), heads=heads)
    return _feed_forward(net, net.plus(x, net.linear(mixed, features)))


def _gated_attention(net: Layers, x: str, heads: int) -> str:
    """Equation 7: (1 - g) softmax(Q K^T / sqrt d) + g softmax(position), over its sum."""
    tokens, features = net.shapes[x]
    parts = net.linear(x, 2 * features, bias=False)
    query, key = (
        net.rows_of_heads(net.sliced(parts, 2, start, start + features), heads)
        for start in (0, features)
    )
    shape = (heads, tokens, tokens)
    scores = net.product(query, net.transposed(key, (0, 1, 3, 2)))
    scale = net.constant(1)
    scores = net.add("Arithmetic", [scores, scale], shape, kind="multiply")
    patches = net.softmax(scores, 3)
    gated = net.add("Arithmetic", [patches, net.constant(1, heads, 1, 1)], shape, kind="multiply")
    both = net.add("Arithmetic", [gated, net.constant(1, *shape)], shape, kind="add")
    total = net.add("Reduce", [both], (heads, tokens, 1), kind="sum", axes=[3])
    weights = net.add("Arithmetic", [both, total], shape, kind="divide")
    value = net.linear(x, features, bias=False)
    mixed = net.product(weights, net.rows_of_heads(value, heads))
    together = net.reshaped(net.transposed(mixed, (0, 2, 1, 3)), (tokens, features))
    return net.linear(together, features)

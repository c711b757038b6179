"""Self-attention in ONNX's spellings becomes one operator; what is something else stays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from interchange.onnx_fuse.graphs import Graph

from .onnx_graphs import check, finish, graph, kinds
from .test_operators import ints, number

TOKENS, HEADS, SIZE = 10, 3, 4
FEATURES = HEADS * SIZE
Split = Callable[[Graph, str], tuple[str, str, str]]


class Parts(NamedTuple):
    """Queries, keys (transposed or not) and values, [1, heads, tokens, features]."""

    query: str
    key: str
    value: str


def tokens(g: Graph) -> str:
    """[1, tokens, features] of the image [1, 6, 10, 12]: the mean of its channels."""
    return g.add("ReduceMean", "x", axes=[1], keepdims=0)


def linear(g: Graph, x: str, out: int, bias: bool = True) -> str:
    product = g.add("MatMul", x, g.weight(FEATURES, out))
    return g.add("Add", product, g.weight(out)) if bias else product


def heads(g: Graph, x: str) -> str:
    split = g.add("Reshape", x, ints(g, 1, TOKENS, HEADS, SIZE))
    return g.add("Transpose", split, perm=[0, 2, 1, 3])


def joint(g: Graph) -> Parts:
    """One layer, its features ordered as timm's: part, head, feature."""
    qkv = linear(g, tokens(g), 3 * FEATURES)
    split = g.add("Reshape", qkv, ints(g, 1, TOKENS, 3, HEADS, SIZE))
    split = g.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    return Parts(*(g.add("Gather", split, ints1(g, i), axis=0) for i in range(3)))


def by_head(g: Graph) -> Parts:
    """One layer, its features ordered head, part, feature, as LeViT has them."""
    qkv = linear(g, tokens(g), 3 * FEATURES, bias=False)
    split = g.add("Reshape", qkv, ints(g, 1, TOKENS, HEADS, 3 * SIZE))
    split = g.add("Transpose", split, perm=[0, 2, 1, 3])
    return Parts(*(
        g.add("Slice", split, ints(g, i * SIZE), ints(g, (i + 1) * SIZE), ints(g, 3))
        for i in range(3)
    ))  # fmt: skip


def apart(g: Graph) -> Parts:
    """A layer each, one without a bias."""
    x = tokens(g)
    return Parts(*(heads(g, linear(g, x, FEATURES, bias=i != 1)) for i in range(3)))


def ints1(g: Graph, value: int) -> str:
    return g.constant(np.array(value))


def scaled_product(g: Graph, parts: Parts, scale: float = SIZE**-0.5) -> str:
    key = g.add("Transpose", parts.key, perm=[0, 1, 3, 2])
    return g.add("Mul", g.add("MatMul", parts.query, key), number(g, scale))


def scaled_queries(g: Graph, parts: Parts) -> str:
    key = g.add("Transpose", parts.key, perm=[0, 1, 3, 2])
    return g.add("MatMul", g.add("Mul", parts.query, number(g, SIZE**-0.5)), key)


def both_scaled(g: Graph, parts: Parts) -> str:
    """As PyTorch exports scaled_dot_product_attention."""
    root = SIZE**-0.25
    key = g.add("Transpose", parts.key, perm=[0, 1, 3, 2])
    return g.add(
        "MatMul", g.add("Mul", parts.query, number(g, root)), g.add("Mul", key, number(g, root))
    )


def divided(g: Graph, parts: Parts) -> str:
    key = g.add("Transpose", parts.key, perm=[0, 1, 3, 2])
    return g.add("Div", g.add("MatMul", parts.query, key), number(g, SIZE**0.5))


def mixed(g: Graph, scores: str, value: str) -> str:
    product = g.add("MatMul", g.add("Softmax", scores, axis=-1), value)
    together = g.add("Transpose", product, perm=[0, 2, 1, 3])
    return linear(g, g.add("Reshape", together, ints(g, 1, TOKENS, FEATURES)), 5)


def new_graph() -> Graph:
    return graph((1, 6, TOKENS, FEATURES))


@pytest.mark.parametrize("scores", [scaled_product, scaled_queries, both_scaled, divided])
@pytest.mark.parametrize("split", [joint, by_head, apart])
def test_spellings(
    split: Callable[[Graph], Parts], scores: Callable[[Graph, Parts], str], tmp_path: Path
) -> None:
    g = new_graph()
    parts = split(g)
    model = check(finish(g, mixed(g, scores(g, parts), parts.value)), tmp_path)
    found = kinds(model)
    assert found.count("Attention") == 1
    assert "Softmax" not in found
    assert found.count("Linear") == 2


def masked(g: Graph, parts: Parts) -> str:
    """A position's bias is added."""
    return g.add("Add", scaled_product(g, parts), g.weight(1, HEADS, TOKENS, TOKENS))


def another_scale(g: Graph, parts: Parts) -> str:
    return scaled_product(g, parts, 0.3)


def other_tokens(g: Graph, parts: Parts) -> str:
    """Keys of tokens in another order: of the parts each is one, together they are not."""
    order = g.constant(np.arange(TOKENS)[::-1].copy())
    return scaled_product(g, parts._replace(key=g.add("Gather", parts.key, order, axis=2)))


@pytest.mark.parametrize("scores", [masked, another_scale, other_tokens])
def test_others_stay(scores: Callable[[Graph, Parts], str], tmp_path: Path) -> None:
    g = new_graph()
    parts = joint(g)
    model = check(finish(g, mixed(g, scores(g, parts), parts.value)), tmp_path)
    assert "Attention" not in kinds(model)


def test_over_queries_is_another_softmax(tmp_path: Path) -> None:
    g = new_graph()
    parts = joint(g)
    weights = g.add("Softmax", scaled_product(g, parts), axis=2)
    product = g.add("MatMul", weights, parts.value)
    together = g.add("Transpose", product, perm=[0, 2, 1, 3])
    joined = g.add("Reshape", together, ints(g, 1, TOKENS, FEATURES))
    assert "Attention" not in kinds(check(finish(g, joined), tmp_path))


def test_cross_attention_stays(tmp_path: Path) -> None:
    """Values of another layer's input."""
    g = new_graph()
    x = tokens(g)
    query, key = (heads(g, linear(g, x, FEATURES)) for _ in range(2))
    value = heads(g, linear(g, linear(g, x, FEATURES), FEATURES))
    model = check(finish(g, mixed(g, scaled_product(g, Parts(query, key, value)), value)), tmp_path)
    assert "Attention" not in kinds(model)


def test_heads_joined_in_another_order_stay(tmp_path: Path) -> None:
    g = new_graph()
    parts = joint(g)
    product = g.add("MatMul", g.add("Softmax", scaled_product(g, parts), axis=-1), parts.value)
    together = g.add("Transpose", product, perm=[0, 2, 3, 1])
    joined = g.add("Reshape", together, ints(g, 1, TOKENS, FEATURES))
    assert "Attention" not in kinds(check(finish(g, joined), tmp_path))


def test_scores_read_elsewhere_are_made_for_that(tmp_path: Path) -> None:
    g = new_graph()
    parts = joint(g)
    weights = g.add("Softmax", scaled_product(g, parts), axis=-1)
    product = g.add("MatMul", weights, parts.value)
    together = g.add("Transpose", product, perm=[0, 2, 1, 3])
    joined = g.add("Reshape", together, ints(g, 1, TOKENS, FEATURES))
    peak = g.add("ReduceMean", g.add("ReduceMean", weights, axes=[1], keepdims=0), axes=[2])
    found = kinds(check(finish(g, g.add("Add", joined, peak)), tmp_path))
    assert {"Attention", "Softmax"} <= set(found)

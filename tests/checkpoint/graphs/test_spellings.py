"""Decomposed spellings: what other programs write operator by operator is one node again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from interchange.onnx_fuse.graphs import Graph

from .onnx_graphs import check, finish, graph, kinds
from .test_operators import ints, number, rows

Build = Callable[[Graph], str]


def gelu(g: Graph) -> str:
    inner = g.add("Add", g.add("Erf", g.add("Div", "x", number(g, 2**0.5))), number(g, 1))
    return g.add("Mul", g.add("Mul", "x", inner), number(g, 0.5))


def gelu_halved_first(g: Graph) -> str:
    inner = g.add("Add", number(g, 1), g.add("Erf", g.add("Mul", "x", number(g, 0.5**0.5))))
    return g.add("Mul", g.add("Mul", number(g, 0.5), "x"), inner)


def gelu_tanh(g: Graph) -> str:
    cube = g.add("Mul", g.add("Pow", "x", number(g, 3)), number(g, 0.044715))
    inner = g.add("Mul", g.add("Add", "x", cube), number(g, (2 / np.pi) ** 0.5))
    return g.add(
        "Mul", g.add("Mul", "x", number(g, 0.5)), g.add("Add", g.add("Tanh", inner), number(g, 1))
    )


def hard_swish_by_clip(g: Graph) -> str:
    line = g.add("Clip", g.add("Add", "x", number(g, 3)), number(g, 0), number(g, 6))
    return g.add("Div", g.add("Mul", "x", line), number(g, 6))


def silu_by_exp(g: Graph) -> str:
    below = g.add("Add", g.add("Exp", g.add("Neg", "x")), number(g, 1))
    return g.add("Div", "x", below)


def layer_norm(g: Graph, axis: int, x: str, divides: bool = True) -> str:
    centred = g.add("Sub", x, g.add("ReduceMean", x, axes=[axis]))
    square = g.add("Pow", centred, number(g, 2)) if divides else g.add("Mul", centred, centred)
    variance = g.add("Add", g.add("ReduceMean", square, axes=[axis]), number(g, 1e-5))
    root = g.add("Sqrt", variance)
    if divides:
        return g.add("Div", centred, root)
    return g.add("Mul", centred, g.add("Reciprocal", root))


def norm_as_mul_and_add(g: Graph) -> str:
    scaled = g.add("Mul", g.conv("x", (6, 6, 3, 3)), g.weight(6, 1, 1))
    return g.add("Add", scaled, g.weight(1, 6, 1, 1))


def affine(g: Graph, x: str) -> str:
    return g.add("Add", g.add("Mul", x, g.weight(6)), g.weight(6))


SPELLINGS: dict[str, tuple[Build, str, str]] = {
    "gelu": (gelu, "Activation", "gelu"),
    "gelu, halved first": (gelu_halved_first, "Activation", "gelu"),
    "gelu by tanh": (gelu_tanh, "Activation", "gelu_tanh"),
    "silu": (lambda g: g.add("Mul", "x", g.add("Sigmoid", "x")), "Activation", "silu"),
    "silu by exp": (silu_by_exp, "Activation", "silu"),
    "sigmoid by exp": (
        lambda g: g.add("Reciprocal", g.add("Add", g.add("Exp", g.add("Neg", "x")), number(g, 1))),
        "Activation",
        "sigmoid",
    ),
    "hard swish": (
        lambda g: g.add("Mul", g.add("HardSigmoid", "x", alpha=1 / 6, beta=0.5), "x"),
        "Activation",
        "hard_swish",
    ),
    "hard swish by clip": (hard_swish_by_clip, "Activation", "hard_swish"),
    "relu6": (
        lambda g: g.add("Min", g.add("Relu", "x"), number(g, 6)), "Activation", "relu6",
    ),
    "mish": (
        lambda g: g.add("Mul", "x", g.add("Tanh", g.add("Softplus", "x"))), "Activation", "mish",
    ),
    "layer norm": (lambda g: affine(g, layer_norm(g, -1, rows(g))), "LayerNorm", ""),
    "layer norm by a reciprocal": (
        lambda g: affine(g, layer_norm(g, 2, rows(g), divides=False)), "LayerNorm", "",
    ),
    "layer norm of channels": (lambda g: layer_norm(g, 1, "x"), "LayerNorm", ""),
    "batch norm": (norm_as_mul_and_add, "BatchNorm", ""),
    "global pooling": (
        lambda g: g.add("Reshape", g.add("ReduceMean", "x", axes=[2, 3]), ints(g, 0, -1)),
        "GlobalAvgPool",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SPELLINGS)
def test_is_one_node(name: str, tmp_path: Path) -> None:
    build, kind, activation = SPELLINGS[name]
    made = graph()
    loaded = check(finish(made, build(made)), tmp_path)
    nodes = [node for node in loaded.graph.nodes if node["kind"] == kind]
    assert len(nodes) == 1
    assert not {"Reduce", "Arithmetic", "Constant", "Multiply", "Add"} & set(kinds(loaded))
    if activation:
        assert nodes[0]["attributes"]["kind"] == activation


def test_almost_an_activation_is_none(tmp_path: Path) -> None:
    """x * sigmoid(1.702 x), which some take for GELU, and a slope of 0.02."""
    made = graph()
    gate = made.add("Sigmoid", made.add("Mul", "x", number(made, 1.702)))
    y = made.add("LeakyRelu", made.add("Mul", "x", gate), alpha=0.02)
    loaded = check(finish(made, y), tmp_path)
    assert {n["attributes"]["kind"] for n in loaded.graph.nodes if n["kind"] == "Activation"} == {
        "sigmoid",
        "relu",
    }


def test_branches_are_merged(tmp_path: Path) -> None:
    """A sum, a difference, a layer scale and norms of one input are one convolution."""
    import mobileone

    made = graph()
    branch = made.norm(made.conv("x", (6, 1, 3, 3), group=6, pads=[1] * 4), 6)
    less = made.add("Sub", branch, made.norm("x", 6))
    y = made.add("Add", "x", made.add("Mul", less, made.weight(6, 1, 1)))
    loaded = check(finish(made, y), tmp_path)
    assert kinds(mobileone.reparameterize(loaded)).count("Conv2d") <= 3

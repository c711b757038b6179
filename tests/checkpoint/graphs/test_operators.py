"""Every operator that graphs are made of, with its options."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import onnx
import pytest
from interchange.onnx_fuse.graphs import Graph, session
from mobileone.verification.rounding import rounding_bound
from onnx import helper

from .onnx_graphs import check, finish, graph, kinds

Build = Callable[[Graph], str]


def conv(**attributes: Any) -> Build:
    shape = attributes.pop("shape", (4, 6, 3, 3))
    return lambda g: g.conv("x", shape, bias=True, **attributes)


def pool(kind: str, **attributes: Any) -> Build:
    return lambda g: g.add(kind, "x", **attributes)


def ints(g: Graph, *values: int) -> str:
    return g.constant(np.array(values, np.int64))


def number(g: Graph, value: float) -> str:
    return g.constant(np.array(value, np.float32))


def rows(g: Graph) -> str:
    """Tokens [N, H W, C]."""
    return g.add("Transpose", g.add("Reshape", "x", ints(g, 0, 6, -1)), perm=[0, 2, 1])


def heads(g: Graph) -> str:
    """One-head attention of tokens, packed and split as PyTorch's exporter does."""
    packed = g.add("MatMul", rows(g), g.weight(6, 18))
    split = g.add("Reshape", packed, ints(g, 1, 90, 3, 2, 3))
    split = g.add("Transpose", split, perm=[2, 0, 3, 1, 4])
    q, k, v = (g.add("Gather", split, g.constant(np.array(i)), axis=0) for i in range(3))
    q = g.add("Mul", q, number(g, 3**-0.5))
    scores = g.add("MatMul", q, g.add("Transpose", k, perm=[0, 1, 3, 2]))
    values = g.add("MatMul", g.add("Softmax", scores, axis=-1), v)
    return g.add("Reshape", g.add("Transpose", values, perm=[0, 2, 1, 3]), ints(g, 1, 90, 6))


def class_token(g: Graph) -> str:
    token = g.add("Expand", g.weight(1, 1, 6), ints(g, 1, 1, 6))
    joined = g.add("Concat", token, rows(g), axis=1)
    return g.add(
        "Gather", g.add("Add", joined, g.weight(1, 91, 6)), g.constant(np.array(0)), axis=1
    )


def shuffle(g: Graph) -> str:
    split = g.add("Reshape", "x", ints(g, 0, 2, 3, 9, 10))
    turned = g.add("Transpose", split, perm=[0, 2, 1, 3, 4])
    return g.add("Reshape", turned, ints(g, 0, -1, 9, 10))


def windows(g: Graph) -> str:
    """Windows of 3 x 5, joined with the images, and back."""
    split = g.add("Reshape", "x", ints(g, 1, 6, 3, 3, 2, 5))
    windows = g.add("Transpose", split, perm=[0, 2, 4, 3, 5, 1])
    tokens = g.add("Reshape", windows, ints(g, 6, 15, 6))
    tokens = g.add("MatMul", tokens, g.weight(6, 6))
    back = g.add("Reshape", tokens, ints(g, 1, 3, 2, 3, 5, 6))
    return g.add("Reshape", g.add("Transpose", back, perm=[0, 5, 1, 3, 2, 4]), ints(g, 1, 6, 9, 10))


def split_sizes(g: Graph) -> str:
    node = helper.make_node("Split", ["x", ints(g, 2, 4)], ["a", "b"], axis=1)
    g.nodes.append(node)
    return g.add("Concat", g.add("Relu", "b"), "a", axis=1)


def resized(mode: str, centres: str) -> Build:
    return lambda g: g.add(
        "Resize", "x", "", number4(g, 1, 1, 2, 3), mode=mode,
        coordinate_transformation_mode=centres, nearest_mode="floor",
    )  # fmt: skip


def number4(g: Graph, *values: float) -> str:
    return g.constant(np.array(values, np.float32))


CASES: dict[str, Build] = {
    "conv": conv(pads=[1] * 4),
    "conv strided": conv(pads=[1] * 4, strides=[2, 1]),
    "conv grouped": conv(shape=(4, 3, 3, 3), group=2),
    "conv depthwise": conv(shape=(6, 1, 5, 5), group=6, pads=[2] * 4),
    "conv dilated": conv(pads=[2] * 4, dilations=[2, 2]),
    "conv of an even kernel": conv(shape=(4, 6, 2, 4), pads=[0, 1, 1, 2]),
    "conv same upper": conv(auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": conv(auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv valid": conv(auto_pad="VALID"),
    "norm": lambda g: g.norm("x", 6),
    "max pool": pool("MaxPool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4),
    "average pool": pool("AveragePool", kernel_shape=[3, 3], pads=[1] * 4),
    "average pool of all": pool(
        "AveragePool", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1
    ),
    "average pool asymmetric": pool(
        "AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1
    ),
    "global": lambda g: g.add("GlobalAveragePool", "x"),
    "mean of maps": lambda g: g.add("ReduceMean", "x", axes=[-1, -2], keepdims=0),
    "mean of channels": lambda g: g.add("ReduceMean", "x", axes=[1], keepdims=0),
    "norm of rows": lambda g: g.add("ReduceL2", "x", axes=[3]),
    "sum": lambda g: g.add("ReduceSum", "x", ints(g, 2), keepdims=0),
    "attention": heads,
    "class token": class_token,
    "channel shuffle": shuffle,
    "windows": windows,
    "split": split_sizes,
    "slice": lambda g: g.add("Slice", "x", ints(g, -3, 1), ints(g, 99, 8), ints(g, 1, 2),
                             ints(g, 1, 3)),
    "gather": lambda g: g.add("Gather", "x", ints(g, 4, 0, 3), axis=1),
    "pad": lambda g: g.add("Pad", "x", ints(g, 0, 0, 1, 2, 0, 1, 0, 3), number(g, 0.5)),
    "squeeze": lambda g: g.add("Squeeze", g.add("GlobalAveragePool", "x"), ints(g, 2, 3)),
    "unsqueeze": lambda g: g.add("Unsqueeze", "x", ints(g, 0, 3)),
    "nearest": resized("nearest", "asymmetric"),
    "bilinear": resized("linear", "half_pixel"),
    "depth to space": lambda g: g.add("DepthToSpace", g.conv("x", (8, 6, 1, 1)), blocksize=2),
    "pixel shuffle": lambda g: g.add(
        "DepthToSpace", g.conv("x", (8, 6, 1, 1)), blocksize=2, mode="CRD"
    ),
    "linear": lambda g: g.add("Gemm", g.add("Flatten", "x"), g.weight(540, 5), g.weight(5)),
    "linear of rows": lambda g: g.add("Add", g.add("MatMul", rows(g), g.weight(6, 4)), g.weight(4)),
    "matrix of the first": lambda g: g.add("MatMul", g.weight(4, 90), rows(g)),
    "group norm": lambda g: g.add(
        "Mul",
        g.add("Reshape", g.add("InstanceNormalization", g.add("Reshape", "x", ints(g, 0, 2, -1)),
                               number4(g, 1, 1), number4(g, 0, 0)), ints(g, 1, 6, 9, 10)),
        g.weight(6, 1, 1),
    ),
    "instance norm": lambda g: g.add("InstanceNormalization", "x", g.weight(6), g.weight(6)),
    "layer norm": lambda g: g.add("LayerNormalization", rows(g), g.weight(6), g.weight(6)),
    "softmax of channels": lambda g: g.add("Softmax", "x", axis=1),
    "gate": lambda g: g.add("Mul", "x", g.add("Sigmoid", g.add("GlobalAveragePool", "x"))),
    "gate per pixel": lambda g: g.add("Mul", g.add("ReduceMean", "x", axes=[1]), "x"),
    "difference": lambda g: g.add("Sub", g.conv("x", (6, 6, 1, 1)), g.norm("x", 6)),
    "quotient": lambda g: g.add("Div", "x", g.add("Sigmoid", g.add(
        "ReduceMean", "x", axes=[2]))),
    "largest": lambda g: g.add("Max", "x", g.conv("x", (6, 6, 1, 1)), g.weight(6, 1, 1)),
    "prelu": lambda g: g.add("PRelu", "x", g.weight(6, 1, 1)),
    "layer scale": lambda g: g.add("Add", "x", g.add("Mul", g.conv("x", (6, 6, 1, 1)),
                                                     g.weight(1, 6, 1, 1))),
    "scale of rows": lambda g: g.add("Mul", rows(g), g.weight(6)),
    "constant minus": lambda g: g.add("Sub", g.weight(6, 1, 1), "x"),
    "position": lambda g: g.add("Add", "x", g.weight(1, 6, 9, 10)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_computes_what_the_standard_says(name: str, tmp_path: Path) -> None:
    made = graph()
    check(finish(made, CASES[name](made)), tmp_path)


@pytest.mark.parametrize("opset", [11, 12, 13, 18, 21])
def test_operator_sets_spell_differently(opset: int, tmp_path: Path) -> None:
    """Axes, clip's limits and softmax's axis are attributes or inputs."""
    g = graph()
    if opset < 13:
        x = g.add("ReduceMean", g.add("Unsqueeze", "x", axes=[2]), axes=[2], keepdims=0)
        x = g.add("Softmax", x, axis=3)
    else:
        x = g.add("Unsqueeze", "x", ints(g, 2))
        axes = {"axes": [2]} if opset < 18 else {}
        more = [ints(g, 2)] if opset >= 18 else []
        x = g.add("ReduceMean", x, *more, keepdims=0, **axes)
        x = g.add("Softmax", x, axis=3)
    check(finish(g, g.add("Clip", x, number(g, 0.01), number(g, 0.5)), opset), tmp_path)


def test_shapes_are_followed(tmp_path: Path) -> None:
    """What exporters compute of shapes is a constant."""
    g = graph()
    shape = g.add("Shape", "x")
    parts = [g.add("Gather", shape, g.constant(np.array(i)), axis=0) for i in (0, 1)]
    ends = [g.add("Unsqueeze", part, ints(g, 0)) for part in parts]
    target = g.add("Concat", *ends, ints(g, -1), axis=0)
    loaded = check(finish(g, g.add("Reshape", "x", target)), tmp_path)
    assert set(kinds(loaded)) <= {"Input", "Reshape"}


@pytest.mark.parametrize(
    "build",
    [
        pool("MaxPool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]),
        pool("MaxPool", kernel_shape=[3, 3], strides=[3, 2], ceil_mode=1),
        pool("MaxPool", kernel_shape=[2, 2], strides=[4, 4], ceil_mode=1),
        lambda g: g.add("Pad", "x", ints(g, 0, 0, -1, 0, 0, 0, 2, -3)),
    ],
)
def test_computes_what_onnx_runtime_does(build: Build, tmp_path: Path) -> None:
    """Exact operators that the onnx package's reference gets wrong, or not at all."""
    made = graph()
    onnx.save(finish(made, build(made)), tmp_path / "model.onnx")
    x = np.random.default_rng(7).standard_normal((1, 6, 9, 10)).astype(np.float32)
    expected = session(tmp_path / "model.onnx").run(None, {"x": x})[0]
    np.testing.assert_array_equal(mobileone.load(tmp_path / "model.onnx")(x), expected)


def test_softmax_of_older_operator_sets(tmp_path: Path) -> None:
    """Up to 12 it is over all axes from the given one on."""
    made = graph()
    onnx.save(finish(made, made.add("Softmax", "x", axis=2), 12), tmp_path / "model.onnx")
    x = np.random.default_rng(7).standard_normal((1, 6, 9, 10)).astype(np.float32)
    loaded = mobileone.load(tmp_path / "model.onnx")
    powers = np.exp(x.astype(np.float64))
    expected = powers / powers.sum((2, 3), keepdims=True)
    error = np.abs(loaded(x) - expected.reshape(1, -1)).max()
    assert error <= rounding_bound(loaded, x).logits


@pytest.mark.parametrize("perm", [(0, 1, 2, 3), (0, 2, 3, 1), (0, 1, 3, 2)])
def test_a_matrix_after_a_map(perm: tuple[int, ...], tmp_path: Path) -> None:
    made = graph()
    y = made.add("Relu", made.add("Transpose", "x", perm=list(perm)))
    y = made.add("MatMul", y, made.weight((1, 6, 9, 10)[perm[-1]], 5))
    check(finish(made, y), tmp_path)


def test_a_matrix_before_a_map(tmp_path: Path) -> None:
    made = graph()
    check(finish(made, made.add("MatMul", made.weight(7, 9), "x")), tmp_path)

"""Regions that become one convolution or matrix product, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .graphs import Graph, fuse, kinds, parameters

C = 6


def branches(graph: Graph) -> str:
    """3x3, 1x1 and identity with batch norms: RepVGG's."""
    wide = graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4), C)
    narrow = graph.norm(graph.conv("x", (C, C, 1, 1)), C)
    return graph.add("Add", graph.add("Add", wide, narrow), graph.norm("x", C))


def asymmetric(graph: Graph) -> str:
    """3x3, 3x1 and 1x3: ACNet's."""
    whole = graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4), C)
    rows = graph.norm(graph.conv("x", (C, C, 3, 1), pads=[1, 0, 1, 0]), C)
    columns = graph.norm(graph.conv("x", (C, C, 1, 3), pads=[0, 1, 0, 1]), C)
    return graph.add("Sum", whole, rows, columns)


def diverse(graph: Graph) -> str:
    """1x1 -> 3x3 with the 1x1's norm in the padding, 1x1 -> pooling: DBB's."""
    dense = graph.norm(graph.conv("x", (C, C, 3, 3), bias=True, pads=[1] * 4), C)
    inner = graph.norm(graph.conv("x", (C, C, 1, 1), pads=[1] * 4), C)
    twice = graph.norm(graph.conv(inner, (C, C, 3, 3)), C)
    inner = graph.norm(graph.conv("x", (C, C, 1, 1), pads=[1] * 4), C)
    pooled = graph.norm(graph.add("AveragePool", inner, kernel_shape=[3, 3]), C)
    return graph.add("Sum", dense, twice, pooled)


def large_kernel(graph: Graph) -> str:
    """Depthwise 9x9, 5x5 dilated by 2 and 3x3 dilated by 3: UniRepLKNet's."""
    parts = [
        graph.norm(graph.conv("x", (C, 1, k, k), group=C, pads=[p] * 4, dilations=[d, d]), C)
        for k, p, d in ((9, 4, 1), (5, 4, 2), (3, 3, 3))
    ]
    return graph.add("Sum", *parts)


def mixer(graph: Graph) -> str:
    """x + scale * (mix(x) - norm(x)): FastViT's."""
    mixed = graph.norm(graph.conv("x", (C, 1, 3, 3), group=C, pads=[1] * 4), C)
    change = graph.add("Sub", mixed, graph.norm("x", C))
    return graph.add("Add", "x", graph.add("Mul", graph.weight(C, 1, 1), change))


def norm_after(graph: Graph) -> str:
    """A norm after the sum, and a second convolution of one tap: QARepVGG's, and a projection."""
    total = graph.norm(graph.add("Add", branches(graph), "x"), C)
    return graph.conv(total, (4, C, 1, 1), bias=True)


def strided(graph: Graph) -> str:
    """Stride 2 with 3x3, 1x1 and an average pooling that counts its padding."""
    dense = graph.conv("x", (C, C, 3, 3), pads=[1] * 4, strides=[2, 2])
    narrow = graph.conv("x", (C, C, 1, 1), bias=True, strides=[2, 2])
    pooled = graph.add(
        "AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4, strides=[2, 2], count_include_pad=1
    )
    return graph.add("Sum", dense, narrow, graph.norm(pooled, C))


def grouped(graph: Graph) -> str:
    """Two groups, three groups and one."""
    halves = graph.conv("x", (C, 3, 1, 1), group=2)
    thirds = graph.conv("x", (C, 2, 1, 1), group=3)
    dense = graph.conv("x", (C, C, 3, 3), pads=[1] * 4)
    return graph.add("Add", graph.add("Add", halves, thirds), dense)


def spelled_out(graph: Graph) -> str:
    """A norm as arithmetic, padding as a node, an average as a factor, what does nothing."""
    padded = graph.add("Pad", "x", graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1])))
    y = graph.conv(padded, (C, C, 3, 3))
    y = graph.add("Mul", graph.add("Sub", y, graph.weight(1, C, 1, 1)), graph.weight(C, 1, 1))
    y = graph.add("Div", graph.add("Neg", graph.add("Identity", y)), graph.weight(C, 1, 1))
    return graph.add("Mean", y, graph.conv("x", (C, C, 1, 1)))


def even_and_uneven(graph: Graph) -> str:
    """Even kernels whose paddings make up for it."""
    even = graph.conv("x", (C, C, 2, 2), pads=[0, 0, 1, 1])
    other = graph.conv("x", (C, C, 2, 2), pads=[1, 1, 0, 0], bias=True)
    wide = graph.conv("x", (C, C, 4, 4), pads=[2, 1, 1, 2])
    return graph.add("Sum", even, other, wide, "x")


def cropped(graph: Graph) -> str:
    """A padding that crops, and a valid convolution."""
    crop = graph.add("Pad", "x", graph.constant(np.array([0, 0, -1, 0, 0, 0, 0, -2])))
    return graph.add("Add", graph.conv(crop, (C, C, 1, 1)), graph.norm(crop, C))


def shared(graph: Graph) -> str:
    """One weight in two convolutions of a sum."""
    name = graph.weight(C, C, 3, 3)
    one = graph.add("Conv", "x", name, pads=[1] * 4)
    return graph.add("Add", one, graph.add("Conv", "x", name, pads=[2] * 4, dilations=[2, 2]))


# name -> (region, channels of the result, parameters of the one convolution, its kernel)
REGIONS: dict[str, tuple[Callable[[Graph], str], int, list[int]]] = {
    "repvgg": (branches, 9 * C * C + C, [3, 3]),
    "acnet": (asymmetric, 9 * C * C + C, [3, 3]),
    "dbb": (diverse, 9 * C * C + C, [3, 3]),
    "unireplknet": (large_kernel, 81 * C + C, [9, 9]),
    "fastvit": (mixer, 9 * C + C, [3, 3]),
    "qarepvgg": (norm_after, 4 * 9 * C + 4, [3, 3]),
    "strided": (strided, 9 * C * C + C, [3, 3]),
    "grouped": (grouped, 9 * C * C, [3, 3]),
    "spelled out": (spelled_out, 9 * C * C + C, [3, 3]),
    "even": (even_and_uneven, 16 * C * C + C, [4, 4]),
    "cropped": (cropped, C * C + C, [1, 1]),
}


@pytest.mark.parametrize("name", REGIONS)
def test_a_region_becomes_one_convolution(name: str, tmp_path: Path) -> None:
    make, count, kernel = REGIONS[name]
    graph = Graph(C)
    graph.add("Relu", make(graph), out="y")
    sizes = ((1, C, 7, 8), (3, C, 12, 5))
    _, fused = fuse(graph.model(), tmp_path, sizes)
    found = kinds(fused)
    if name == "cropped":  # no Conv may crop
        assert found == {"Conv": 1, "Relu": 1}
        return
    assert found == {"Conv": 1, "Relu": 1}
    assert parameters(fused) == count
    (shape,) = [a.ints for a in fused.graph.node[0].attribute if a.name == "kernel_shape"]
    assert list(shape) == kernel


@pytest.mark.parametrize("rank", [3, 5])
def test_other_numbers_of_axes(rank: int, tmp_path: Path) -> None:
    graph, axes = Graph(C, rank), rank - 2
    wide = graph.norm(graph.conv("x", (C, C, *[3] * axes), pads=[1] * (2 * axes)), C)
    narrow = graph.conv("x", (C, C, *[1] * axes), bias=True)
    graph.add("Relu", graph.add("Sum", wide, narrow, "x"), out="y")
    _, fused = fuse(
        graph.model(), tmp_path, ((2, C, *[6] * axes),), input_shapes={"x": [1, C] + [5] * axes}
    )
    assert kinds(fused) == {"Conv": 1, "Relu": 1}


def test_a_chain_of_dilated_and_pointwise_keeps_its_holes(tmp_path: Path) -> None:
    """1x1 -> 3x3 dilated by 4 -> norm: still nine taps."""
    graph = Graph(C)
    inner = graph.conv("x", (C, C, 1, 1))
    outer = graph.conv(inner, (C, C, 3, 3), pads=[4] * 4, dilations=[4, 4])
    graph.add("Relu", graph.norm(outer, C), out="y")
    _, fused = fuse(graph.model(), tmp_path, ((1, C, 11, 13),))
    (conv,) = [node for node in fused.graph.node if node.op_type == "Conv"]
    attributes = {a.name: list(a.ints) for a in conv.attribute if a.ints}
    assert attributes["kernel_shape"] == [3, 3]
    assert attributes["dilations"] == [4, 4]


def test_heads_of_vectors_become_one_gemm(tmp_path: Path) -> None:
    """RepViT's: two heads of norm and linear layer, averaged."""
    graph = Graph(C, rank=2)
    heads = []
    for _ in range(2):
        normal = graph.norm("x", C)
        heads.append(graph.add("Gemm", normal, graph.weight(9, C), graph.weight(9), transB=1))
    half = graph.constant(np.array(2.0, np.float32))
    graph.add("Div", graph.add("Add", *heads), half, out="y")
    _, fused = fuse(graph.model(), tmp_path, ((5, C),))
    assert kinds(fused) == {"Gemm": 1}
    assert parameters(fused) == 9 * C + 9


def test_a_norm_of_flattened_tokens_is_folded_into_their_product(tmp_path: Path) -> None:
    """LeViT's: linear, flatten, norm, back to the shape that is asked of the linear's result."""
    graph = Graph(5, rank=3)
    graph.inputs[0].type.tensor_type.shape.dim[2].dim_value = C
    product = graph.add("MatMul", "x", graph.weight(C, 8))
    rows = graph.add("Reshape", product, graph.constant(np.array([-1, 8])))
    shape = graph.add("Shape", product)
    tokens = graph.add("Reshape", graph.norm(rows, 8), shape)
    graph.add("Relu", tokens, out="y")
    _, fused = fuse(graph.model(), tmp_path, ((2, 5, C),), input_shapes={"x": [2, 5, C]})
    assert kinds(fused) == {"MatMul": 1, "Add": 1, "Relu": 1}
    assert parameters(fused) == 8 * C + 8


def test_a_norm_of_rows_is_folded_where_the_heads_are_split_next(tmp_path: Path) -> None:
    """The next reshape changes the last axis: nothing is saved but the norm's parameters."""
    graph = Graph(5, rank=3)
    graph.inputs[0].type.tensor_type.shape.dim[2].dim_value = C
    product = graph.add("MatMul", "x", graph.weight(C, 8))
    rows = graph.add("Reshape", product, graph.constant(np.array([-1, 8])))
    heads = graph.constant(np.array([-1, 5, 2, 4]))
    graph.add("Reshape", graph.norm(rows, 8), heads, out="y")
    _, fused = fuse(graph.model(), tmp_path, ((2, 5, C),), input_shapes={"x": [2, 5, C]})
    assert kinds(fused) == {"MatMul": 1, "Add": 1, "Reshape": 2}
    assert parameters(fused) == 8 * C + 8 + 2 + 4


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_weights_keep_their_type(dtype: type, tmp_path: Path) -> None:
    graph = Graph(C, dtype=dtype)
    graph.add("Relu", branches(graph), out="y")
    fusion, fused = fuse(graph.model(), tmp_path)
    assert kinds(fused) == {"Conv": 1, "Relu": 1}
    assert {tensor.data_type for tensor in fused.graph.initializer} == {graph.kind}
    assert 1e-3 < fusion.rows[0].ratio <= 1


def test_what_costs_more_as_one_is_left(tmp_path: Path) -> None:
    """Depthwise 3x3 -> 1x1 would be a dense 3x3; a bottleneck would be a wide product."""
    graph = Graph(C)
    depthwise = graph.conv("x", (C, 1, 3, 3), group=C, pads=[1] * 4)
    pointwise = graph.conv(depthwise, (C, C, 1, 1))
    squeezed = graph.conv(graph.add("Relu", pointwise), (1, C, 1, 1))
    graph.conv(squeezed, (C, 1, 1, 1), out="y")
    fusion, fused = fuse(graph.model(), tmp_path)
    assert kinds(fused) == {"Conv": 4, "Relu": 1}
    assert not fusion.regions
    assert [row.value for row in fusion.left] == [pointwise, "y"]
    assert all("no cheaper as one" in row.reason for row in fusion.left)


def test_a_weight_that_overflows_half_precision_is_left(tmp_path: Path) -> None:
    graph = Graph(C, dtype=np.float16)
    y = graph.conv("x", (C, C, 1, 1))
    for _ in range(2):
        y = graph.add("Mul", y, graph.constant(np.full((C, 1, 1), 6e4, np.float16)))
    graph.add("Relu", y, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, run=False)
    assert kinds(fused)["Mul"] >= 1
    assert any("too large" in row.reason for row in fusion.left)


def test_modules_that_are_used_twice_keep_one_weight(tmp_path: Path) -> None:
    graph = Graph(C)
    name = graph.weight(C, C, 3, 3)
    given = [graph.weight(C) for _ in range(3)] + [graph.weight(C, low=0.5, high=2.0)]
    y = "x"
    for _ in range(2):
        y = graph.add("Conv", y, name, pads=[1] * 4)
        y = graph.add("Relu", graph.add("BatchNormalization", y, *given))
    graph.add("Neg", graph.add("Relu", y), out="y")
    _, fused = fuse(graph.model(), tmp_path, ((1, C, 9, 9),))
    assert parameters(fused) == 9 * C * C + C


def test_the_report_says_what_was_done(tmp_path: Path) -> None:
    graph = Graph(C)
    graph.add("Relu", branches(graph), out="y")
    fusion, _ = fuse(graph.model(), tmp_path)
    (region,) = fusion.regions
    assert region.source == "x"
    assert region.nodes.count("BatchNormalization") == 3
    assert region.nodes_after == ("Conv",)
    assert region.parameters == (10 * C * C + 12 * C, 9 * C * C + C)
    assert region.macs == (10 * C * C, 9 * C * C)
    assert region.bytes == (4 * (10 * C * C + 12 * C), 4 * (9 * C * C + C))
    assert fusion.nodes == (8, 2)
    assert fusion.parameters == region.parameters
    assert [row.name for row in fusion.rows] == [region.output, "y"]
    text = repr(fusion)
    assert "7 → 1" in text
    assert "equivalent" in text
    assert fusion.to_dict()["regions"][0]["source"] == "x"
    assert "<table>" in fusion._repr_html_()


def test_one_number_as_a_result_has_the_bound_of_its_last_rounding(tmp_path: Path) -> None:
    """Weights changed by roundings often leave it as it is, which says nothing of its error."""
    for seed in range(40):
        graph = Graph(1, 2, seed)
        graph.add("MatMul", graph.norm("x", 1), graph.weight(1, 1), out="y")
        fusion, fused = fuse(graph.model(), tmp_path, ((3, 1),))
        assert kinds(fused) == {"Gemm": 1}, seed
        assert len(fusion.regions) == 1

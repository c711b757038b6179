"""What looks like a region and is none, or only if its borders are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from .graphs import FLOAT, Graph, fuse, kinds, parameters, session

C = 6
SIZES = ((1, C, 7, 8), (2, C, 5, 12))


def left(fusion: object) -> str:
    return "\n".join(f"{row.value}: {row.reason}" for row in fusion.left)  # type: ignore[attr-defined]


def test_a_bias_before_padding_is_left(tmp_path: Path) -> None:
    graph = Graph(C)
    inner = graph.norm(graph.conv("x", (C, C, 1, 1)), C)
    graph.conv(inner, (C, C, 3, 3), pads=[1] * 4, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 2}  # the norm is folded, the border is kept
    assert "a bias comes before zero padding" in left(fusion)


def test_a_window_before_padding_is_left(tmp_path: Path) -> None:
    """Even without a bias: beyond the border the inner convolution is not zero, the padding is."""
    graph = Graph(C)
    inner = graph.conv("x", (1, C, 3, 3), pads=[1] * 4)
    graph.conv(inner, (C, 1, 3, 3), pads=[1] * 4, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 2}
    assert "reaches over the border" in left(fusion)


@pytest.mark.parametrize("bias", [False, True])
def test_dbbs_padding(bias: bool, tmp_path: Path) -> None:
    """Its 1x1 is padded with its own bias: as zeros before it right, as zeros after it left."""
    graph = Graph(C)
    inner = graph.conv("x", (C, C, 1, 1), bias=bias)
    twice = graph.conv(inner, (C, C, 3, 3), pads=[1] * 4)
    graph.add("Add", twice, graph.conv("x", (C, C, 3, 3), pads=[1] * 4), out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == ({"Conv": 3, "Add": 1} if bias else {"Conv": 1})


def test_a_branch_with_two_readers_is_computed_once(tmp_path: Path) -> None:
    """The other reader keeps its convolution, so that the sum alone is no cheaper merged."""
    graph = Graph(C)
    wide = graph.conv("x", (C, C, 3, 3), pads=[1] * 4)
    total = graph.add("Add", wide, graph.conv("x", (C, C, 1, 1)))
    graph.add("Add", graph.add("Relu", wide), graph.add("Relu", total), out="y")
    fusion, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 2, "Add": 2, "Relu": 2}
    assert f"{wide} is read elsewhere, too" in left(fusion)


def test_an_intermediate_output_stays(tmp_path: Path) -> None:
    graph = Graph(C)
    inner = graph.conv("x", (C, C, 1, 1), out="inner")
    graph.outputs.append(helper.make_tensor_value_info("inner", FLOAT, None))
    graph.norm(inner, C, out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1}


@pytest.mark.parametrize("outputs", [1, 3])
def test_a_norm_in_training_mode_is_left(outputs: int, tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 3, 3), pads=[1] * 4)
    given = [graph.weight(C) for _ in range(3)] + [graph.weight(C, low=0.5)]
    names = ["y", "mean", "variance"][:outputs]
    graph.nodes.append(helper.make_node("BatchNormalization", [y, *given], names, training_mode=1))
    fusion, fused = fuse(graph.model(), tmp_path, run=False)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1}
    assert "training mode" in left(fusion)


@pytest.mark.parametrize(("stride", "padding"), [(2, 0), (1, 1), (2, 1)])
def test_branches_of_other_sizes_are_left(stride: int, padding: int, tmp_path: Path) -> None:
    """1x1 with another stride or padding: a broadcast at one size, refused at the others."""
    graph = Graph(C)
    wide = graph.conv("x", (C, C, 3, 3), pads=[1] * 4)
    other = graph.conv("x", (C, C, 1, 1), strides=[stride] * 2, pads=[padding] * 4)
    graph.add("Add", wide, other, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, run=False)
    assert kinds(fused) == {"Conv": 2, "Add": 1}
    assert ("strides" if stride == 2 else "differ in size") in left(fusion)


def test_a_sum_that_broadcasts_channels_is_left(tmp_path: Path) -> None:
    graph = Graph(C)
    one = graph.conv("x", (1, C, 3, 3), pads=[1] * 4)
    graph.add("Add", graph.conv("x", (C, C, 1, 1)), one, out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 2, "Add": 1}


@pytest.mark.parametrize("shape", [(1, C, 1, 5), (1, C, 4, 1), (5,), (2, C, 1, 1)])
def test_constants_that_are_not_per_channel_are_left(
    shape: tuple[int, ...], tmp_path: Path
) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1))
    graph.add("Add", y, graph.weight(*shape), out="y")
    _, fused = fuse(graph.model(), tmp_path, input_shapes={"x": [2, C, 4, 5]})
    assert kinds(fused) == {"Conv": 1, "Add": 1}


def test_a_constant_with_more_channels_is_left(tmp_path: Path) -> None:
    """It widens the value it is added to."""
    graph = Graph(C)
    y = graph.conv("x", (1, C, 1, 1))
    graph.add("Mul", y, graph.weight(C, 1, 1), out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1, "Mul": 1}


@pytest.mark.parametrize(
    ("attributes", "merged"),
    [
        ({"count_include_pad": 1, "pads": [1] * 4}, True),
        ({"count_include_pad": 0, "pads": [1] * 4}, False),
        ({"pads": [1] * 4}, False),
        ({"count_include_pad": 1, "pads": [1] * 4, "ceil_mode": 1}, False),
        ({"count_include_pad": 1, "auto_pad": "SAME_UPPER"}, True),
        ({"auto_pad": "SAME_LOWER"}, False),
    ],
)
def test_average_pooling(attributes: dict[str, object], merged: bool, tmp_path: Path) -> None:
    graph = Graph(C)
    pooled = graph.add("AveragePool", "x", kernel_shape=[3, 3], **attributes)
    wide = graph.conv("x", (C, C, 3, 3), pads=[1] * 4)
    graph.add("Add", wide, pooled, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == ({"Conv": 1} if merged else {"Conv": 1, "AveragePool": 1, "Add": 1})
    assert merged or "divisors of their own" in left(fusion)


@pytest.mark.parametrize("kind", ["SAME_UPPER", "SAME_LOWER", "VALID"])
def test_automatic_padding_of_even_kernels(kind: str, tmp_path: Path) -> None:
    """Even kernels are padded more on one side."""
    graph = Graph(C)
    y = graph.conv("x", (C, C, 4, 2), auto_pad=kind)
    graph.add("Relu", graph.norm(y, C), out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1, "Relu": 1}


@pytest.mark.parametrize("known", [False, True])
def test_automatic_padding_that_depends_on_the_size(known: bool, tmp_path: Path) -> None:
    graph = Graph(C)
    size = (1, C, 9, 10)
    if known:
        for dim, extent in zip(graph.inputs[0].type.tensor_type.shape.dim, size, strict=True):
            dim.dim_value = extent
    y = graph.conv("x", (C, C, 3, 3), auto_pad="SAME_UPPER", strides=[2, 2])
    graph.add("Relu", graph.norm(y, C), out="y")
    fusion, fused = fuse(graph.model(), tmp_path, (size,))
    assert kinds(fused).get("BatchNormalization", 0) == (not known)
    assert known or "auto_pad" in left(fusion)


def test_padding_by_other_than_zeros_is_left(tmp_path: Path) -> None:
    for index, options in enumerate(({"mode": "reflect"}, {"mode": "edge"}, {})):
        graph = Graph(C)
        pads = [graph.constant(np.array([0, 0, 1, 1, 0, 0, 1, 1]))]
        pads += [] if options else [graph.constant(np.array(0.5, np.float32))]
        padded = graph.add("Pad", "x", *pads, **options)
        graph.conv(padded, (C, C, 3, 3), out="y")
        folder = tmp_path / str(index)
        folder.mkdir()
        _, fused = fuse(graph.model(), folder, SIZES)
        assert kinds(fused) == {"Pad": 1, "Conv": 1}


def test_grouped_with_dense_is_dense(tmp_path: Path) -> None:
    """Only where that costs no more: a dense 1x1 would make a depthwise 3x3 dense."""
    for kernel, padding, merged in ((1, 0, True), (3, 1, False)):
        graph = Graph(C)
        depthwise = graph.conv("x", (C, 1, kernel, kernel), group=C, pads=[padding] * 4)
        graph.add("Add", depthwise, graph.conv("x", (C, C, 1, 1)), out="y")
        folder = tmp_path / str(kernel)
        folder.mkdir()
        _, fused = fuse(graph.model(), folder, SIZES)
        assert kinds(fused) == ({"Conv": 1} if merged else {"Conv": 2, "Add": 1})


def test_dilation_2_beside_5x5(tmp_path: Path) -> None:
    """A 3x3 dilated by 2 has every second tap of the 5x5."""
    graph = Graph(C)
    sparse = graph.conv("x", (C, C, 3, 3), pads=[2] * 4, dilations=[2, 2])
    graph.add("Add", sparse, graph.conv("x", (C, C, 5, 5), pads=[2] * 4), out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1}
    assert parameters(fused) == 25 * C * C


def test_weights_that_are_inputs_are_left(tmp_path: Path) -> None:
    """Since IR version 4 an initializer that is an input can be given another value."""
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1))
    graph.norm(y, C, out="y")
    graph.inputs.append(helper.make_tensor_value_info("w0", FLOAT, [C, C, 1, 1]))
    fusion, fused = fuse(graph.model(), tmp_path)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1}
    assert "its weights are not constant" in left(fusion)


def test_before_ir_version_4_all_weights_are_inputs(tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1), bias=True)
    graph.norm(y, C, out="y")
    for name, value in graph.weights.items():
        graph.inputs.append(helper.make_tensor_value_info(name, FLOAT, value.shape))
    _, fused = fuse(graph.model(opset=8, ir_version=3), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1}
    assert {i.name for i in fused.graph.input} == {"x", *(t.name for t in fused.graph.initializer)}


def test_operator_sets_before_7_are_left(tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1))
    graph.norm(y, C, out="y", is_test=1)
    fusion, fused = fuse(graph.model(opset=6, ir_version=3), tmp_path, run=False)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1}
    assert "operator set 6" in left(fusion)


def test_values_that_graphs_inside_read_stay(tmp_path: Path) -> None:
    """The convolution before the norm is read by a branch of an If."""
    graph = Graph(C)
    inner = graph.conv("x", (C, C, 1, 1), out="inner")
    normal = graph.norm(inner, C)
    bodies = [
        helper.make_graph(
            [helper.make_node("Neg", [name], [f"out_{name}"])],
            f"reads {name}",
            [],
            [helper.make_tensor_value_info(f"out_{name}", FLOAT, None)],
        )
        for name in ("inner", normal)
    ]
    yes = graph.constant(np.array(True))
    graph.add("If", yes, out="y", then_branch=bodies[0], else_branch=bodies[1])
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1, "If": 1}


def test_an_operator_that_a_function_of_the_file_redefines_is_unknown(tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1))
    graph.add("Neg", y, out="y")
    body = [helper.make_node("Abs", ["a"], ["b"])]
    opsets = [helper.make_opsetid("", 17)]
    graph.functions.append(helper.make_function("", "Neg", ["a"], ["b"], body, opsets))
    _, fused = fuse(graph.model(), tmp_path, run=False)
    assert kinds(fused) == {"Conv": 1, "Neg": 1}


def test_an_unknown_attribute_is_a_reason(tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (C, C, 1, 1), activation="relu")
    graph.norm(y, C, out="y")
    fusion, fused = fuse(graph.model(), tmp_path, run=False)
    assert kinds(fused) == {"Conv": 1, "BatchNormalization": 1}
    assert "unknown attribute 'activation'" in left(fusion)


def test_any_batch_and_size(tmp_path: Path) -> None:
    """A file with open axes stays open."""
    graph = Graph(C)
    wide = graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4, strides=[2, 2]), C)
    graph.add("Add", wide, graph.conv("x", (C, C, 1, 1), strides=[2, 2]), out="y")
    _, fused = fuse(graph.model(), tmp_path, ((1, C, 1, 1), (3, C, 2, 9), (2, C, 32, 31)))
    dims = fused.graph.input[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["N", C, "H", "W"]
    assert session(tmp_path / "out.onnx").get_outputs()[0].name == "y"


def test_a_spelled_out_activation_stays_whole(tmp_path: Path) -> None:
    """GELU's last product, by a half, could go into the next convolution, and GELU would be a
    runtime's one operator no longer.
    """
    graph = Graph(C)
    one = graph.constant(np.array(1, np.float32))
    half = graph.constant(np.array(0.5, np.float32))
    root = graph.constant(np.array(2**0.5, np.float32))
    x = graph.norm(graph.conv("x", (C, C, 1, 1)), C)
    error = graph.add("Add", graph.add("Erf", graph.add("Div", x, root)), one)
    activated = graph.add("Mul", graph.add("Mul", x, error), half)
    scaled = graph.add("Mul", activated, graph.weight(C, 1, 1))
    graph.conv(scaled, (C, C, 3, 3), out="y")
    _, fused = fuse(graph.model(), tmp_path, SIZES)
    assert kinds(fused) == {"Conv": 2, "Div": 1, "Erf": 1, "Add": 1, "Mul": 2}


@pytest.mark.parametrize("cropped", [2, 3, 9])
def test_a_crop_of_more_than_a_window(cropped: int, tmp_path: Path) -> None:
    """What it needs of an input is more than what its windows reach over."""
    graph = Graph(C)
    amounts = graph.constant(np.array([0, 0, 1 - cropped, 2, 0, 0, -1, -cropped]))
    inner = graph.add("Pad", graph.conv("x", (C, C, 1, 1)), amounts)
    graph.conv(inner, (C, C, 3, 3), out="y")
    fusion, fused = fuse(graph.model(), tmp_path, ((2, C, 14, 17), (1, C, 21, 16)))
    assert kinds(fused) == {"Conv": 1}
    assert len(fusion.regions) == 1


def test_an_input_of_unknown_rank_takes_the_shape_that_it_is_given(tmp_path: Path) -> None:
    graph = Graph(C)
    graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4), C, out="y")
    graph.inputs[0].type.tensor_type.ClearField("shape")
    shapes = {"x": (2, C, 7, 8)}
    fusion, fused = fuse(graph.model(), tmp_path, SIZES, input_shapes=shapes)
    assert kinds(fused) == {"Conv": 1}
    assert f"x [2, {C}, 7, 8]" in fusion.runtime

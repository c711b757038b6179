"""Axes that a file leaves open: no extent that was assumed ends up in the graph unseen."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import onnx
import pytest
from interchange.onnx_fuse.graphs import Graph
from mobileone.verification.rounding import rounding_bound
from onnx import TensorProto, helper

from .onnx_graphs import exact, finish, graph
from .test_operators import ints, number

FAR = (1 << 63) - 1


def opened(*dims: str | int) -> Graph:
    made = graph()
    made.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(dims))]
    return made


def load(made: Graph, y: str, folder: Path) -> tuple[mobileone.Model, onnx.ModelProto]:
    model = finish(made, made.add("Relu", y))
    onnx.save(model, folder / "model.onnx")
    return mobileone.load(folder / "model.onnx"), model


def refused(made: Graph, y: str, folder: Path, message: str) -> None:
    with pytest.raises(NotImplementedError, match=message):
        load(made, y, folder)


@pytest.mark.parametrize(("start", "end"), [(0, 1), (0, 2), (0, 8), (-1, FAR)])
def test_some_of_the_images(start: int, end: int, tmp_path: Path) -> None:
    made = opened("N", 6, 9, 10)
    y = made.add("Slice", "x", ints(made, start), ints(made, end), ints(made, 0))
    refused(
        made, y, tmp_path, "takes some of the images; where images are .* which the file allows"
    )


def test_one_image_gathered(tmp_path: Path) -> None:
    made = opened("N", 6, 9, 10)
    refused(made, made.add("Gather", "x", ints(made, 0), axis=0), tmp_path, "some of the images")


@pytest.mark.parametrize(("start", "end"), [(0, 224), (0, 300), (0, 4000), (0, -1), (-100, FAR)])
@pytest.mark.parametrize("axis", [2, 3])
def test_a_part_of_an_open_size(start: int, end: int, axis: int, tmp_path: Path) -> None:
    made = opened(1, 6, "H", "W")
    y = made.add("Slice", "x", ints(made, start), ints(made, end), ints(made, axis))
    refused(made, y, tmp_path, "is another one where images are .* expected an input of fixed")


def test_a_half_of_an_open_size(tmp_path: Path) -> None:
    made = opened(1, 6, "H", 10)
    height = made.add("Gather", made.add("Shape", "x"), ints(made, 2), axis=0)
    half = made.add("Div", height, ints(made, 2))
    y = made.add("Slice", "x", ints(made, 0), half, ints(made, 2))
    refused(made, y, tmp_path, "is another one where images are 1 x 6 x 352 x 10")


@pytest.mark.parametrize("axis", [0, 2])
def test_an_extent_as_a_factor(axis: int, tmp_path: Path) -> None:
    made = opened("N", 6, "H", 10)
    extent = made.add("Gather", made.add("Shape", "x"), ints(made, axis), axis=0)
    factor = made.add("Cast", extent, to=TensorProto.FLOAT)
    refused(made, made.add("Mul", "x", factor), tmp_path, "is another one where images are")


def test_what_is_the_same_at_every_size(tmp_path: Path) -> None:
    made = opened("N", 6, "H", "W")
    whole = made.add("Slice", "x", ints(made, 0), ints(made, FAR), ints(made, 2))
    y = made.add("Slice", whole, ints(made, 1), ints(made, 4), ints(made, 1))
    model, proto = load(made, made.add("GlobalAveragePool", y), tmp_path)
    for size in ((5, 7), (640, 32)):
        x = np.random.default_rng(0).standard_normal((3, 6, *size), np.float32)
        error = np.abs(np.asarray(model(x)) - exact(proto, x)).max()
        assert error <= rounding_bound(model, x).logits


@pytest.mark.parametrize(
    ("kind", "name"), [(TensorProto.FLOAT16, "float16"), (TensorProto.BFLOAT16, "bfloat16")]
)
def test_a_cast_that_rounds(kind: int, name: str, tmp_path: Path) -> None:
    made = graph()
    y = made.add("Cast", made.add("Cast", "x", to=kind), to=TensorProto.FLOAT)
    refused(made, y, tmp_path, f"Cast.*rounds images to {name}")


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_a_cast_to_the_type_of_a_constant(dtype: type, tmp_path: Path) -> None:
    made = graph()
    scaled = made.add("Mul", "x", number(made, 2.0))
    like = made.constant(np.zeros(1, dtype))
    y = made.add("Cast", made.add("CastLike", scaled, like), to=TensorProto.FLOAT)
    refused(made, y, tmp_path, f"it makes images {np.dtype(dtype)}")


def test_weights_of_16_bits(tmp_path: Path) -> None:
    made = graph()
    values = np.random.default_rng(0).standard_normal((6, 6, 1, 1)).astype(np.float16)
    half = made.add("Cast", "x", to=TensorProto.FLOAT16)
    y = made.add("Conv", half, made.constant(values))
    model, proto = load(made, made.add("Cast", y, to=TensorProto.FLOAT), tmp_path)
    x = np.random.default_rng(0).standard_normal((2, 6, 9, 10), np.float32)
    error = np.abs(np.asarray(model(x)) - exact(proto, x)).max()
    assert error <= rounding_bound(model, x).logits


def test_a_resize_that_depends_on_an_open_size(tmp_path: Path) -> None:
    """MobileViT's, to multiples of a patch: at some fixed sizes there is none."""
    model = mobileone.create_model("mobilevit_xxs", seed=0)
    model.export_onnx(tmp_path / "open.onnx")
    with pytest.raises(NotImplementedError, match=r"leaves the images' size open; with a fixed"):
        mobileone.load(tmp_path / "open.onnx")
    model.export_onnx(tmp_path / "odd.onnx", input_size=96)
    with pytest.raises(NotImplementedError, match=r"expected multiples$"):
        mobileone.load(tmp_path / "odd.onnx")
    model.export_onnx(tmp_path / "fixed.onnx", input_size=64)
    again, x = mobileone.load(tmp_path / "fixed.onnx"), np.ones((2, 3, 64, 64), np.float32)
    np.testing.assert_array_equal(again(x), model(x))

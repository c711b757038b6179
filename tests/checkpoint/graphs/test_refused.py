"""What is not supported or damaged: errors that name the node and what was expected."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from .onnx_graphs import exact, finish, graph
from .test_operators import ints, number


def load(model: onnx.ModelProto, folder: Path) -> mobileone.Model:
    onnx.save(model, folder / "model.onnx")
    return mobileone.load(folder / "model.onnx")


def test_an_unknown_operator_names_the_nearest(tmp_path: Path) -> None:
    made = graph()
    y = made.add("LpPool", "x", kernel_shape=[2, 2])
    message = r"model.onnx: node 'node_v0' \(LpPool, opset 17\): .* the nearest .* MaxPool"
    with pytest.raises(NotImplementedError, match=message):
        load(finish(made, y), tmp_path)


def test_another_domain(tmp_path: Path) -> None:
    made = graph()
    y = made.add("Thing", "x", domain="test.custom")
    with pytest.raises(NotImplementedError, match=r"Thing of domain 'test.custom'"):
        load(finish(made, y), tmp_path)


def test_a_norm_in_training(tmp_path: Path) -> None:
    made = graph()
    y = made.norm("x", 6, training_mode=1)
    with pytest.raises(NotImplementedError, match="training mode; export the network in eval"):
        load(finish(made, y), tmp_path)


def test_a_divisor_of_its_own() -> None:
    """PyTorch 2.13's exporter to ONNX drops it and writes the average: findings/."""
    pool = torch.nn.Sequential(torch.nn.AvgPool2d(2, divisor_override=1), torch.nn.Flatten())
    program = torch.export.export(pool.eval(), (torch.zeros(1, 3, 8, 8),))
    with pytest.raises(NotImplementedError, match="it has a divisor of its own"):
        mobileone.load(program)


@pytest.mark.parametrize(
    ("opset", "message"), [(10, "operator set 10; expected 11 to 28"), (29, "operator set 29")]
)
def test_operator_sets(opset: int, message: str, tmp_path: Path) -> None:
    made = graph()
    with pytest.raises(NotImplementedError, match=message):
        load(finish(made, "x", opset), tmp_path)


def test_images_that_are_mixed(tmp_path: Path) -> None:
    made = graph()
    y = made.add("ReduceMean", "x", axes=[0])
    with pytest.raises(NotImplementedError, match="mixes images"):
        load(finish(made, y), tmp_path)


def test_images_that_are_joined_with_channels(tmp_path: Path) -> None:
    made = graph()
    y = made.add("Relu", "x")
    made.add("Flatten", y, out="y", axis=2)
    with pytest.raises(NotImplementedError, match=r"\(6, 90\), whose first axis is not that of"):
        load(made.model(17), tmp_path)


def test_computed_weights(tmp_path: Path) -> None:
    made = graph()
    weight = made.add("Reshape", made.add("GlobalAveragePool", "x"), ints(made, 6, 1, 1, 1))
    y = made.add("Conv", "x", weight, group=6)
    with pytest.raises(NotImplementedError, match="its weight is computed; expected constants"):
        load(finish(made, y), tmp_path)


def test_several_inputs(tmp_path: Path) -> None:
    made = graph()
    made.inputs.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 6, 9, 10]))
    with pytest.raises(NotImplementedError, match=r"has 2 inputs \(x, z\); expected one"):
        load(finish(made, made.add("Add", "x", "z")), tmp_path)


def test_shapes_that_do_not_fit(tmp_path: Path) -> None:
    made = graph()
    y = made.add("Reshape", "x", ints(made, 1, 7, -1))
    with pytest.raises(mobileone.CheckpointError, match=r"node 'node_v0' \(Reshape\).*do not fit"):
        load(finish(made, y), tmp_path)


def test_constants_without_end(tmp_path: Path) -> None:
    """A few bytes of a file do not take gigabytes."""
    made = graph()
    huge = made.add("ConstantOfShape", ints(made, 1 << 20, 1 << 20))
    y = made.add("Add", "x", made.add("ReduceMax", huge, keepdims=0))
    with pytest.raises(mobileone.CheckpointError, match="would make 1099511627776 numbers"):
        load(finish(made, y), tmp_path)


def test_functions_without_end(tmp_path: Path) -> None:
    """A value that is multiplied with itself again and again does not grow without bounds."""
    made = graph()
    y = "x"
    for _ in range(40):
        y = made.add("Mul", y, y)
    assert len(load(finish(made, y), tmp_path).graph.nodes) < 60


def test_weights_that_are_shared_without_end(tmp_path: Path) -> None:
    """A file of a megabyte does not become gigabytes."""
    made = graph()
    weight = made.weight(512, 512, 1, 1)
    y = made.conv("x", (512, 6, 1, 1))
    for _ in range(80):
        y = made.add("Conv", y, weight)
    with pytest.raises(mobileone.CheckpointError, match="share 1060864 bytes of weights"):
        load(finish(made, y), tmp_path)


def test_a_name_that_nothing_makes(tmp_path: Path) -> None:
    made = graph()
    with pytest.raises(mobileone.CheckpointError, match="read 'nowhere', which nothing makes"):
        load(finish(made, made.add("Add", "x", "nowhere")), tmp_path)


def test_weights_outside_of_the_folder(tmp_path: Path) -> None:
    made = graph()
    model = finish(made, made.conv("x", (4, 6, 1, 1)))
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../secret")
    (tmp_path / "inner").mkdir()
    with open(tmp_path / "inner" / "model.onnx", "wb") as file:
        file.write(model.SerializeToString())
    with pytest.raises(mobileone.CheckpointError, match="not below the model's own folder"):
        mobileone.load(tmp_path / "inner" / "model.onnx")


def test_other_arguments_of_load(tmp_path: Path) -> None:
    made = graph()
    onnx.save(finish(made, made.add("Clip", "x", number(made, 0.0))), tmp_path / "a.onnx")
    assert mobileone.load(tmp_path / "a.onnx", num_classes=540).num_classes == 540
    with pytest.raises(mobileone.CheckpointError, match="has 540 classes; expected 7"):
        mobileone.load(tmp_path / "a.onnx", num_classes=7)


def test_half_precision_and_external_data(tmp_path: Path) -> None:
    """Weights of float16, in a second file."""
    made = graph()
    model = finish(made, made.conv("x", (4, 6, 3, 3)))
    tensor = model.graph.initializer[0]
    values = onnx.numpy_helper.to_array(tensor).astype(np.float16)
    tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    path = tmp_path / "half.onnx"
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    inside = onnx.ModelProto.FromString(model.SerializeToString())
    onnx.save(model, path, save_as_external_data=True, location="half.data", size_threshold=0)
    x = np.random.default_rng(0).standard_normal((1, 6, 9, 10)).astype(np.float32)
    error = np.abs(mobileone.load(path)(x) - exact(inside, x)).max()
    assert error <= 54 * 2.0**-24 * np.abs(values.astype(np.float64)).max() * np.abs(x).max()


@pytest.mark.parametrize("factor", [2, 3, 4, 5])
@pytest.mark.parametrize("centres", ["asymmetric", "half_pixel", "pytorch_half_pixel"])
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_nearest_is_what_the_file_says(
    factor: int, centres: str, rounding: str, tmp_path: Path
) -> None:
    """Pixels are repeated as ONNX Runtime does, or the file is refused: nothing in between."""
    runtime = pytest.importorskip("onnxruntime")
    made = graph()
    scales = made.constant(np.array([1, 1, factor, 1], np.float32))
    how = {"coordinate_transformation_mode": centres, "nearest_mode": rounding}
    model = finish(made, made.add("Resize", "x", "", scales, mode="nearest", **how))
    onnx.save(model, tmp_path / "model.onnx")
    x = np.random.default_rng(0).standard_normal((1, 6, 9, 10), np.float32)
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"))
    expected = session.run(None, {"x": x})[0]
    if np.array_equal(expected, x.repeat(factor, 2).reshape(1, -1)):
        np.testing.assert_array_equal(mobileone.load(tmp_path / "model.onnx")(x), expected)
    else:
        with pytest.raises(NotImplementedError, match=f"nearest_mode '{rounding}'.*not repeat"):
            mobileone.load(tmp_path / "model.onnx")


@pytest.mark.parametrize(
    ("sizes", "how", "message"),
    [
        ([1, 6, 18, 20], {"keep_aspect_ratio_policy": "not_larger"}, "policy is 'not_larger'"),
        ([18, 20], {"axes": [2, 3]}, r"axes is \[2, 3\]; expected sizes or scales of all four"),
    ],
)
def test_sizes_that_are_meant_otherwise(
    sizes: list[int], how: dict[str, object], message: str, tmp_path: Path
) -> None:
    made = graph()
    y = made.add("Resize", "x", "", "", ints(made, *sizes), mode="linear", **how)
    with pytest.raises(NotImplementedError, match=message):
        load(finish(made, y, 18), tmp_path)

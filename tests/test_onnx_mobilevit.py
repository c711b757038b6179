"""ONNX files of MobileViT: open and fixed image sizes, every operator set, dropout left out."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import mobileone
import numpy as np
import onnx
import pytest
from cases import FORMS, SMALL_MOBILEVIT, images
from mobileone.interchange.onnx.export import MAX_OPSET, onnx_model
from test_onnx import error, session


def small(form: str = "inference", **config: object) -> mobileone.Model:
    model = mobileone.create_model("mobilevit_custom", seed=4, **{**SMALL_MOBILEVIT, **config})
    return model if form == "train-time" else mobileone.reparameterize(model)


def operators(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mobilevit_xxs", "mobilevit_s"])
def test_a_published_network_at_open_sizes(name: str, form: str, tmp_path: Path) -> None:
    """33 x 65 halves to odd sizes at every layer."""
    model, path = mobileone.create_model(name, seed=1), tmp_path / "x.onnx"
    model = model if form == "train-time" else mobileone.reparameterize(model)
    model.export_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    for x in (images(1, (64, 64)), images(2, (33, 65), seed=1)):
        assert error(model, path, x) <= 1


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (2, 3), (4, 1)])
@pytest.mark.parametrize("size", [None, (64, 96), (37, 50)])
def test_patches_and_sizes(
    size: tuple[int, int] | None, patch: tuple[int, int], tmp_path: Path
) -> None:
    model, path = small(patch=patch), tmp_path / "x.onnx"
    model.export_onnx(path, input_size=size)
    onnx.checker.check_model(path, full_check=True)
    assert session(path).get_inputs()[0].shape == ["N", 3, *(size or ("H", "W"))]
    for extent in [size] if size else [(64, 96), (37, 50)]:
        assert error(model, path, images(2, extent)) <= 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("opset", [13, 16, 17, 18, 21, MAX_OPSET])
def test_operator_sets(form: str, opset: int, tmp_path: Path) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx ends at operator set {onnx.defs.onnx_opset_version()}")
    model, path = small(form), tmp_path / "x.onnx"
    model.export_onnx(path, opset=opset)
    onnx.checker.check_model(path, full_check=True)
    norms = operators(onnx.load(path))["LayerNormalization"]
    assert norms == (0 if opset < 17 else 2 * (1 + 2) + 2)
    assert error(model, path, images(2, (45, 70))) <= 1


def test_a_changed_weight_is_noticed(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "x.onnx"
    model.export_onnx(path)
    proto = onnx.load(path)
    (weight,) = (
        w
        for w in proto.graph.initializer
        if w.name.endswith("0.pre_norm_mha.1.qkv_proj.weight") and "layer_3" in w.name
    )
    values = onnx.numpy_helper.to_array(weight) * np.float32(1.01)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(proto, path)
    assert error(model, path, images(2, (64, 64))) > 1


def test_a_fixed_size_needs_no_shapes_and_no_resizing_that_does_nothing() -> None:
    """The maps of the blocks are 8 x 8 and 4 x 4 at 64 x 64, and 5 x 8 and 3 x 4 at 40 x 64."""
    open_size = operators(onnx_model(small()))
    assert open_size["Resize"] == 4
    assert open_size["Shape"] > 0
    fits = operators(onnx_model(small(), input_size=64))
    assert fits["Resize"] == fits["Shape"] == 0
    odd = operators(onnx_model(small(), input_size=(40, 64)))
    assert odd["Resize"] == 4


def test_weights_keep_their_names_and_values() -> None:
    model = small("train-time")
    proto = onnx_model(model)
    tensors = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    expected = {k: v for k, v in model.state_dict().items() if v.dtype == np.float32}
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors.pop(name), array, strict=True)
    assert all(name.startswith("constant.") for name in tensors)


def test_dropout_is_left_out() -> None:
    probabilities = {"dropout": 0.1, "ffn_dropout": 0.2, "classifier_dropout": 0.3}
    dropped = onnx_model(small("train-time", **probabilities))
    plain = onnx_model(small("train-time"))
    assert operators(dropped) == operators(plain)
    names = {node.op_type for node in dropped.graph.node}
    assert "Dropout" not in names


def test_another_image_size_than_the_fixed_one(tmp_path: Path) -> None:
    model, path = small(), tmp_path / "x.onnx"
    model.export_onnx(path, input_size=64)
    with pytest.raises(Exception, match="invalid dimensions"):
        session(path).run(None, {"images": images(1, (64, 96))})
    with pytest.raises(ValueError, match="input_size is 31; expected an integer of at least 32"):
        model.export_onnx(path, input_size=31)

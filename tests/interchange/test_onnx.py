"""ONNX files: valid, and the same function in ONNX Runtime within the derived rounding bound."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import mobileone
import numpy as np
import onnx
import onnxruntime
import pytest
from cases import FAMILIES, FORMS, MOBILEONE, MOBILEVIT, Family, each_family, engine_model, images
from mobileone import _core
from mobileone.interchange.onnx import export as onnx_export
from mobileone.interchange.onnx import operators as onnx_operators
from mobileone.interchange.onnx.export import MAX_OPSET, MIN_OPSET, export_onnx, onnx_model
from mobileone.studies import plain_cnn
from mobileone.verification.rounding import rounding_bound

# A weight of each family's small network in inference form, and a factor that must be noticed.
WEIGHTS = {
    "mobileone": ("stage2.2.reparam_conv.weight", 1.001),
    "mobilevit": ("layer_3.1.global_rep.0.pre_norm_mha.1.qkv_proj.weight", 1.01),
}
# What makes more operators of a small network.
MORE = {"mobileone": {"se_widths": {"stage2.3": 3}}, "mobilevit": {}}
# Of the studies' network.
SMALL = {"stem_width": 8, "widths": [12, 16], "strides": [2, 1], "num_classes": 7, "skip": True}


def published(name: str, form: str) -> mobileone.Model:
    if name in MOBILEONE.published:
        return engine_model(name, form)
    model = mobileone.create_model(name, seed=1)
    return model if form == "train-time" else mobileone.reparameterize(model)


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def error(model: mobileone.Model, path: Path, x: np.ndarray) -> float:
    """The largest error of ONNX Runtime against float64, as a share of the derived bound."""
    (found,) = session(path).run(["logits"], {"images": x})
    (exact,), _ = _core.reference_forward(model.network, x, [model.graph.output_name])
    assert found.shape == (len(x), model.num_classes)
    assert found.dtype == np.float32
    return float(np.abs(found - exact).max()) / rounding_bound(model, x, ()).logits


def operators(proto: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in proto.graph.node)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [name for family in FAMILIES for name in family.published])
def test_onnx_runtime_computes_the_same_function(name: str, form: str, tmp_path: Path) -> None:
    """33 x 65 halves to odd sizes at every layer."""
    model, path = published(name, form), tmp_path / "x.onnx"
    model.export_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    for x in (images(1, (64, 64)), images(2, (33, 65), seed=1)):
        assert error(model, path, x) <= 1


@pytest.mark.parametrize(
    "activation", ["relu", "gelu", "silu", "se_relu", "dynamic_relu_a", "dynamic_relu_b"]
)
def test_activations(activation: str, tmp_path: Path) -> None:
    model, path = plain_cnn(activation, **SMALL), tmp_path / "x.onnx"
    model.export_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    assert error(model, path, images(2, (33, 40))) <= 1


def test_every_activation_of_the_engine_has_a_row() -> None:
    builder = _core.GraphBuilder()
    builder.add("images", "Input")
    with pytest.raises(ValueError, match="expected one of") as caught:
        builder.add("x", "Activation", ["images"], kind="none")
    names = str(caught.value).split("one of ")[1].split(", ")
    assert set(names) == set(onnx_operators.ACTIVATIONS)


@each_family
def test_a_changed_weight_is_noticed(family: Family, tmp_path: Path) -> None:
    model, path = family.make("inference"), tmp_path / "x.onnx"
    model.export_onnx(path)
    proto = onnx.load(path)
    name, factor = WEIGHTS[family.name]
    (weight,) = (w for w in proto.graph.initializer if w.name == name)
    values = onnx.numpy_helper.to_array(weight) * np.float32(factor)
    weight.CopyFrom(onnx.numpy_helper.from_array(values, weight.name))
    onnx.save(proto, path)
    assert error(model, path, images(2, (64, 64))) > 1


@each_family
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_every_operator_set(family: Family, form: str, opset: int, tmp_path: Path) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx ends at operator set {onnx.defs.onnx_opset_version()}")
    model = family.make(form, in_channels=4, **MORE[family.name])
    path = tmp_path / "x.onnx"
    model.export_onnx(path, opset=opset)
    onnx.checker.check_model(path, full_check=True)
    proto = onnx.load(path)
    assert proto.opset_import[0].version == opset
    norms = operators(proto)["LayerNormalization"]
    assert norms == (0 if opset < 17 or family is MOBILEONE else 2 * (1 + 2) + 2)
    try:
        session(path)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as failure:
        if "official support" not in str(failure) and "max supported IR" not in str(failure):
            raise
        pytest.skip("newer than this onnxruntime")
    assert error(model, path, images(2, (45, 70), channels=4)) <= 1


def test_the_batch_size_is_open_or_one(tmp_path: Path) -> None:
    model, path = MOBILEONE.make("inference"), tmp_path / "x.onnx"
    x = images(3, (32, 32))
    export_onnx(model.bundle, path)
    assert session(path).get_inputs()[0].shape == ["N", 3, "H", "W"]
    assert session(path).get_outputs()[0].shape == ["N", 7]
    assert error(model, path, x) <= 1
    export_onnx(model.bundle, path, dynamic_batch=False)
    assert session(path).get_inputs()[0].shape == [1, 3, "H", "W"]
    assert error(model, path, x[:1]) <= 1
    with pytest.raises(Exception, match="invalid dimensions"):
        session(path).run(None, {"images": x})


@pytest.mark.parametrize("form", FORMS)
def test_the_file_holds_the_graph_and_nothing_else(form: str) -> None:
    model = MOBILEONE.make(form)
    proto = onnx_model(model.bundle)
    nodes = model.graph.nodes
    assert [n.name for n in proto.graph.node if "." not in n.name or n.op_type != "Flatten"] == [
        node["name"] for node in nodes if node["kind"] != "Input"
    ]
    assert "BatchNormalization" in {n.op_type for n in proto.graph.node} or form == "inference"
    weights = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    expected = {k: v for k, v in model.state_dict().items() if v.dtype == np.float32}
    assert weights.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(weights[name], array, strict=True)
    metadata = {entry.key: entry.value for entry in proto.metadata_props}
    assert metadata == model.metadata()
    assert json.loads(metadata["data_config"])["channel_order"] == "RGB"


def test_operator_sets_newer_than_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 20)
    with pytest.raises(ValueError, match="opset is 21; the installed onnx knows 13 to 20"):
        onnx_model(MOBILEONE.make().bundle, opset=21)
    onnx_model(MOBILEONE.make().bundle, opset=20)


@pytest.mark.parametrize("opset", [12, MAX_OPSET + 1])
def test_operator_sets_out_of_range(opset: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"opset is {opset}; expected 13 to {MAX_OPSET}"):
        MOBILEONE.make().export_onnx(tmp_path / "x.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotImplementedError, match=r"act: DynamicMax of 2 terms cannot be exported"):
        onnx_model(plain_cnn("dynamic_shift_max", **SMALL).bundle)
    monkeypatch.delitem(onnx_operators.ACTIVATIONS, "relu")
    with pytest.raises(NotImplementedError, match=r"relu: activation relu cannot be exported"):
        onnx_model(MOBILEONE.make().bundle)
    monkeypatch.undo()
    monkeypatch.setattr(onnx_export, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"bytes of weights; \.onnx files hold 2 GiB"):
        onnx_model(MOBILEONE.make().bundle)


def test_without_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'mobileone\[onnx\]'"):
        MOBILEONE.make().export_onnx(tmp_path / "x.onnx")


@pytest.mark.parametrize("patch", [(1, 1), (2, 2), (2, 3), (4, 1)])
@pytest.mark.parametrize("size", [None, (64, 96), (37, 50)])
def test_patches_and_sizes(
    size: tuple[int, int] | None, patch: tuple[int, int], tmp_path: Path
) -> None:
    model, path = MOBILEVIT.make("inference", patch=patch), tmp_path / "x.onnx"
    model.export_onnx(path, input_size=size)
    onnx.checker.check_model(path, full_check=True)
    assert session(path).get_inputs()[0].shape == ["N", 3, *(size or ("H", "W"))]
    for extent in [size] if size else [(64, 96), (37, 50)]:
        assert error(model, path, images(2, extent)) <= 1


def test_a_fixed_size_needs_no_shapes_and_no_resizing_that_does_nothing() -> None:
    """The maps of the blocks are 8 x 8 and 4 x 4 at 64 x 64, and 5 x 8 and 3 x 4 at 40 x 64."""
    open_size = operators(onnx_model(MOBILEVIT.make("inference").bundle))
    assert open_size["Resize"] == 4
    assert open_size["Shape"] > 0
    fits = operators(onnx_model(MOBILEVIT.make("inference").bundle, input_size=64))
    assert fits["Resize"] == fits["Shape"] == 0
    odd = operators(onnx_model(MOBILEVIT.make("inference").bundle, input_size=(40, 64)))
    assert odd["Resize"] == 4


def test_weights_keep_their_names_and_values() -> None:
    model = MOBILEVIT.make("train-time")
    proto = onnx_model(model.bundle)
    tensors = {w.name: onnx.numpy_helper.to_array(w) for w in proto.graph.initializer}
    expected = {k: v for k, v in model.state_dict().items() if v.dtype == np.float32}
    for name, array in expected.items():
        np.testing.assert_array_equal(tensors.pop(name), array, strict=True)
    assert all(name.startswith("constant.") for name in tensors)


def test_dropout_is_left_out() -> None:
    probabilities = {"dropout": 0.1, "ffn_dropout": 0.2, "classifier_dropout": 0.3}
    dropped = onnx_model(MOBILEVIT.make("train-time", **probabilities).bundle)
    plain = onnx_model(MOBILEVIT.make("train-time").bundle)
    assert operators(dropped) == operators(plain)
    names = {node.op_type for node in dropped.graph.node}
    assert "Dropout" not in names


def test_another_image_size_than_the_fixed_one(tmp_path: Path) -> None:
    model, path = MOBILEVIT.make("inference"), tmp_path / "x.onnx"
    model.export_onnx(path, input_size=64)
    with pytest.raises(Exception, match="invalid dimensions"):
        session(path).run(None, {"images": images(1, (64, 96))})
    with pytest.raises(ValueError, match="input_size is 31; expected an integer of at least 32"):
        model.export_onnx(path, input_size=31)

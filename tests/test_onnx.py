"""ONNX files: valid, and the same function in ONNX Runtime within the derived rounding bound."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import mobileone
import numpy as np
import onnx
import onnxruntime
import pytest
from cases import FORMS, engine_model, images
from mobileone import _core
from mobileone.interchange.onnx import export as onnx_export
from mobileone.interchange.onnx import operators as _onnx_operators
from mobileone.interchange.onnx.export import MAX_OPSET, MIN_OPSET, export_onnx, onnx_model
from mobileone.verification.rounding import rounding_bound

SMALL = {"widths": [8, 12], "depths": [1, 2], "num_conv_branches": 2, "num_classes": 7}


def small(form: str = "train-time", **config: object) -> mobileone.Model:
    model = mobileone.create_model("custom", seed=2, **{**SMALL, **config})
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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4", "mobileone_mu0"])
def test_onnx_runtime_computes_the_same_function(name: str, form: str, tmp_path: Path) -> None:
    model, path = engine_model(name, form), tmp_path / "x.onnx"
    model.export_onnx(path)
    onnx.checker.check_model(path, full_check=True)
    for x in (images(1, (64, 64)), images(2, (33, 65), seed=1)):
        assert error(model, path, x) <= 1


def test_a_changed_weight_is_noticed(tmp_path: Path) -> None:
    model, path = small("inference"), tmp_path / "x.onnx"
    state = {name: array.copy() for name, array in model.state_dict().items()}
    state["stage2.2.reparam_conv.weight"] *= 1.001
    mobileone.load(state).export_onnx(path)
    assert error(model, path, images(2, (40, 40))) > 1


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("opset", range(MIN_OPSET, MAX_OPSET + 1))
def test_every_operator_set(form: str, opset: int, tmp_path: Path) -> None:
    if opset > onnx.defs.onnx_opset_version():
        pytest.skip(f"this onnx ends at operator set {onnx.defs.onnx_opset_version()}")
    model = small(form, se_widths={"stage2.3": 3}, in_channels=4)
    path = tmp_path / "x.onnx"
    export_onnx(model, path, opset=opset)
    onnx.checker.check_model(path, full_check=True)
    assert onnx.load(path).opset_import[0].version == opset
    try:
        session(path)
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as failure:
        if "official support" not in str(failure) and "max supported IR" not in str(failure):
            raise
        pytest.skip("newer than this onnxruntime")
    assert error(model, path, images(2, (40, 40), channels=4)) <= 1


def test_the_batch_size_is_open_or_one(tmp_path: Path) -> None:
    model, path = small("inference"), tmp_path / "x.onnx"
    x = images(3, (32, 32))
    export_onnx(model, path)
    assert session(path).get_inputs()[0].shape == ["N", 3, "H", "W"]
    assert session(path).get_outputs()[0].shape == ["N", 7]
    assert error(model, path, x) <= 1
    export_onnx(model, path, dynamic_batch=False)
    assert session(path).get_inputs()[0].shape == [1, 3, "H", "W"]
    assert error(model, path, x[:1]) <= 1
    with pytest.raises(Exception, match="invalid dimensions"):
        session(path).run(None, {"images": x})


@pytest.mark.parametrize("form", FORMS)
def test_the_file_holds_the_graph_and_nothing_else(form: str) -> None:
    model = small(form)
    proto = onnx_model(model)
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
        onnx_model(small(), opset=21)
    onnx_model(small(), opset=20)


@pytest.mark.parametrize("opset", [12, MAX_OPSET + 1])
def test_operator_sets_out_of_range(opset: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"opset is {opset}; expected 13 to {MAX_OPSET}"):
        small().export_onnx(tmp_path / "x.onnx", opset=opset)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(_onnx_operators.TRANSLATIONS, "GlobalAvgPool")
    with pytest.raises(NotImplementedError, match=r"GlobalAvgPool cannot be exported.*Conv2d"):
        onnx_model(small())
    monkeypatch.undo()
    monkeypatch.setattr(onnx_export, "_MAX_BYTES", 1000)
    with pytest.raises(ValueError, match=r"bytes of weights; \.onnx files hold 2 GiB"):
        onnx_model(small())


def test_without_onnx(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ImportError, match=r"pip install 'mobileone\[onnx\]'"):
        small().export_onnx(tmp_path / "x.onnx")

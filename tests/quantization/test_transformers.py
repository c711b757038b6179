"""MobileViT in integers: its convolutions, and unless that is switched off its linear layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import MOBILEVIT, images
from mobileone._core import Plan
from mobileone.quantization.linear import linear_as_convolutions, of_tokens
from numpy.typing import NDArray

from .integer_reference import convolve

SIZE = (64, 48)


@cache
def fused() -> mobileone.Model:
    model = MOBILEVIT.make("inference")
    model.input_size = SIZE
    return model


@cache
def quantized(linear_layers: bool = True) -> mobileone.Model:
    return mobileone.quantize(fused(), images(16, SIZE), linear_layers=linear_layers)


def test_linear_layers_are_convolutions_of_tokens() -> None:
    """The same function, of which only the classifier is a linear layer still."""
    bundle = fused().bundle
    network = linear_as_convolutions(bundle.network, (1, 3, *SIZE), of_tokens)
    kinds = Counter(node["kind"] for node in network.graph.nodes)
    before = Counter(node["kind"] for node in bundle.graph.nodes)
    assert kinds["Linear"] == 1
    assert kinds["Conv2d"] == before["Conv2d"] + before["Linear"] - 1
    assert kinds["Activation"] == before["Activation"]
    changed = mobileone.Model.of(replace(bundle, network=network))
    assert mobileone.verify(fused(), changed)
    assert network.graph.macs((1, 3, *SIZE)) == bundle.graph.macs((1, 3, *SIZE))


def test_all_linear_layers_are_integers_but_the_classifier() -> None:
    kinds = Counter(node["kind"] for node in quantized().graph.nodes)
    before = Counter(node["kind"] for node in fused().graph.nodes)
    assert kinds["Linear"] == 1
    assert kinds["QuantizedConvolution"] == before["Conv2d"] + before["Linear"] - 1
    for kind in ("LayerNorm", "Attention", "Unfold", "Fold"):
        assert kinds[kind] == before[kind]
    report = quantized().quantization
    assert report is not None
    whole = sum(step.macs for step in report.steps if step.dtype == "int8")
    products = sum(step.macs for step in report.steps)
    assert whole == products  # of the convolutions; attention and classifier are the rest
    assert report.data[0].sqnr > 15


@pytest.mark.parametrize("linear_layers", [False, True])
def test_every_layers_integers(linear_layers: bool) -> None:
    """Those of NumPy's 64-bit integers, of what the engine itself gave the layer."""
    network = quantized(linear_layers).bundle.network
    graph, weights = network.graph, network.weights()
    layers = [n for n in graph.nodes if n["kind"] == "QuantizedConvolution"]
    sources = [layer["inputs"][0] for layer in layers]
    names = list(dict.fromkeys([*sources, *(layer["name"] for layer in layers)]))
    x = images(2, SIZE, seed=5)
    plan = Plan(network, x.shape, names, 2)
    results: list[NDArray] = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(x, results)
    found = dict(zip(names, results, strict=True))
    for layer, source in zip(layers, sources, strict=True):
        fields, name = layer["attributes"], layer["name"]
        expected = convolve(fields, weights, name, found[source].astype(np.int64))
        np.testing.assert_array_equal(found[name], expected, err_msg=name)
        assert len(np.unique(expected)) > 20, name


def test_a_transformer_stays_one_step_where_that_is_asked_for(tmp_path: Path) -> None:
    model = quantized(False)
    kinds = Counter(node["kind"] for node in model.graph.nodes)
    before = Counter(node["kind"] for node in fused().graph.nodes)
    assert kinds["Linear"] == before["Linear"]
    shape = (2, 3, *SIZE)
    compiled = model.compile(shape, threads=1)
    assert all(step["implementation"].startswith("fused") for step in compiled.steps)
    model.save_plan(tmp_path / "int8.plan", shape, threads=1)
    x = images(2, SIZE, seed=5)
    np.testing.assert_array_equal(mobileone.load_plan(tmp_path / "int8.plan")(x), compiled(x))


def test_onnx_runtime_runs_it(tmp_path: Path) -> None:
    """Not the same integers, since norms and exponentials between them are rounded otherwise; what
    that moves is far less than what quantizing does.
    """
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    path = tmp_path / "int8.onnx"
    quantized().export_onnx(path)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    x = images(4, SIZE, seed=5)
    theirs = session.run(None, {session.get_inputs()[0].name: x})[0]
    ours, exact = quantized()(x), fused()(x)
    moved, made = (np.square(a - b).sum() for a, b in ((theirs, ours), (ours, exact)))
    assert moved < made


def test_networks_without_tokens_are_as_they_were() -> None:
    model = mobileone.reparameterize(mobileone.create_model("mobileone_s0", seed=0))
    changed = linear_as_convolutions(model.bundle.network, (1, 3, 64, 64), of_tokens)
    assert changed.graph == model.graph

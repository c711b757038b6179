"""The classifier in integers, where it is not a small one."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone._core import Plan
from mobileone.quantization.linear import is_classifier, linear_as_convolutions
from mobileone.verification.fidelity import Fidelity
from numpy.typing import NDArray

from .integer_reference import convolve
from .nets import noise
from .test_onnx import with_integers

CLASSES = 907  # times 76 features: more than 2^16 weights, and no whole panels of either


@cache
def wide(classes: int = CLASSES) -> mobileone.Model:
    config = {"widths": [8, 12, 76], "depths": [1, 1, 1], "num_conv_branches": 1}
    model = mobileone.create_model("custom", seed=3, num_classes=classes, **config)
    model.input_size = (48, 40)
    return mobileone.reparameterize(model)


@cache
def quantized() -> mobileone.Model:
    return mobileone.quantize(wide(), noise())


def kinds_of(model: mobileone.Model) -> Counter[str]:
    return Counter(node["kind"] for node in model.graph.nodes)


def results_of(model: mobileone.Model, names: list[str], x: NDArray) -> list[NDArray]:
    plan = Plan(model.network, x.shape, names, 2)
    found: list[NDArray] = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(x, found)
    return found


def test_it_is_integers_where_it_is_large() -> None:
    report = quantized().quantization
    assert report is not None
    last = report.steps[-1]
    assert (last.name, last.kind, last.dtype) == ("linear", "dense 1x1", "int8")
    assert sum(step.macs for step in report.steps) == wide().macs
    assert kinds_of(quantized())["Linear"] == 0
    assert quantized().state_dict()["linear.weight"].dtype == np.int8
    assert quantized().num_classes == CLASSES
    for kept in (
        mobileone.quantize(wide(), noise(), keep_float=["linear"]),
        mobileone.quantize(wide(5), noise()),
    ):
        assert kinds_of(kept)["Linear"] == 1
        assert kept.state_dict()["linear.weight"].dtype == np.float32


def test_a_convolution_of_pooled_features_is_the_same_function() -> None:
    bundle = wide().bundle
    network = linear_as_convolutions(bundle.network, (1, 3, 48, 40), is_classifier)
    assert Counter(node["kind"] for node in network.graph.nodes)["Linear"] == 0
    assert mobileone.verify(wide(), mobileone.Model.of(replace(bundle, network=network)))


@pytest.mark.parametrize("count", [1, 2, 7])
def test_logits_are_numpys_bit_for_bit(count: int) -> None:
    """Of the features that the engine gave it."""
    x = noise(count, seed=4)
    nodes = {node["name"]: node for node in quantized().graph.nodes}
    fields = nodes["linear"]["attributes"]
    assert fields["float_result"]
    features, quantize = (
        results_of(quantized(), ["gap"], x)[0],
        nodes["gap.quantized"]["attributes"],
    )
    integers = np.rint(features / np.float32(quantize["scale"])) + quantize["zero_point"]
    integers = np.clip(integers, 0, 255).astype(np.int64)
    assert len(np.unique(integers)) > 50
    expected = convolve(fields, quantized().network.weights(), "linear", integers)
    np.testing.assert_array_equal(quantized()(x), expected[:, :, 0, 0])


def test_it_costs_little() -> None:
    x = noise(16, seed=9)
    exact = wide()(x)
    kept = mobileone.quantize(wide(), noise(), keep_float=["linear"])
    with_it, without = (
        10 * np.log10(np.square(exact).sum() / np.square(m(x) - exact).sum())
        for m in (quantized(), kept)
    )
    assert with_it > 18
    # Half of the noise of all other layers at most.
    assert with_it > without - 10 * np.log10(1.5)


def test_files_and_plans_bring_back_the_same_bits(tmp_path: Path) -> None:
    x = noise(3, seed=5)
    quantized().save(tmp_path / "int8.safetensors")
    np.testing.assert_array_equal(mobileone.load(tmp_path / "int8.safetensors")(x), quantized()(x))
    compiled = quantized().compile(x.shape, threads=1)
    assert all("int8" in step["implementation"] for step in compiled.steps)
    quantized().save_plan(tmp_path / "int8.plan", x.shape, threads=1)
    np.testing.assert_array_equal(mobileone.load_plan(tmp_path / "int8.plan")(x), compiled(x))


def test_verify_compares_the_integers_before_it() -> None:
    found = mobileone.verify(wide(), quantized(), input_size=(48, 40))
    assert isinstance(found, Fidelity)
    assert found.wrong == 0


def test_onnx_runtime_gives_the_same_integers(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    if "vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8"):
        pytest.skip("ONNX Runtime's integer kernels saturate on this CPU")
    quantized().export_onnx(tmp_path / "int8.onnx")
    file, names = with_integers(tmp_path / "int8.onnx", tmp_path)
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    x = noise(4, seed=3)
    logits, *found = session.run(None, {"images": x})
    features = results_of(quantized(), ["gap.quantized"], x)[0]
    np.testing.assert_array_equal(dict(zip(names, found, strict=True))["gap.quantized"], features)
    # Of the same integers it sums float32 products: rounded weights, products and sums.
    weights = quantized().network.weights()
    fields = {node["name"]: node for node in quantized().graph.nodes}["linear"]["attributes"]
    sizes = np.abs(features[:, :, 0, 0] - fields["input_zero_point"])
    products = sizes @ np.abs(weights["linear.weight"][:, :, 0, 0]).T
    largest = (products + np.abs(weights["linear.bias"])) * weights["linear.multiplier"]
    assert (np.abs(logits - quantized()(x)) <= (sizes.shape[1] + 3) * 2.0**-24 * largest).all()

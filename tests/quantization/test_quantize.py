"""mobileone.quantize on a trained network, and on calibration images that nobody should give."""

from __future__ import annotations

import pickle
import re
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import Family, each_family, images
from mobileone._core import GraphBuilder, Network
from mobileone.families.imported import config_of
from mobileone.network.bundle import Bundle
from mobileone.quantization.report import QuantizationReport
from mobileone.quantization.settings import CURES
from numpy.typing import NDArray

from .nets import digit_images, digits, noise, quantized, small


@pytest.fixture(scope="module")
def trained() -> mobileone.Model:
    """Calibrated on half of the held-out digits, judged on the others."""
    x, labels = digit_images(0, 96)
    other, right = digit_images(180, 180)
    return mobileone.quantize(
        digits(), x, labels=labels, held_out=other, held_out_labels=right, ablation=True
    )


def test_a_trained_network_keeps_its_accuracy(trained: mobileone.Model) -> None:
    report = trained.quantization
    assert report is not None
    calibration, held_out = report.data
    assert (calibration.images, held_out.images, held_out.labelled) == (96, 180, 180)
    assert held_out.top1_before is not None
    assert held_out.top1_after is not None
    assert held_out.top1_before - held_out.top1_after <= 1 / 180
    assert min(calibration.sqnr, held_out.sqnr) > 30


def test_the_report_says_what_is_true(trained: mobileone.Model) -> None:
    report = trained.quantization
    assert report is not None
    other, right = digit_images(180, 180)
    exact, found = digits()(other), trained(other)
    held_out = report.data[1]
    assert held_out.top1_after == (found.argmax(1) == right).mean()
    assert held_out.agreement == (found.argmax(1) == exact.argmax(1)).mean()
    noise = np.square(found.astype(np.float64) - exact).sum()
    signal = np.square(exact.astype(np.float64)).sum()
    assert held_out.sqnr == pytest.approx(10 * np.log10(signal / noise), abs=1e-6)
    assert [cure.name for cure in report.cures] == list(CURES)
    assert len({cure.on for cure in report.cures}) == 1
    # Each is what quantizing without it gives.
    without = mobileone.quantize(digits(), digit_images(0, 96)[0], bias_correction=False)
    assert without.quantization is not None
    off = {cure.name: cure.off for cure in report.cures}["bias_correction"]
    assert off < report.cures[0].on
    names = [node["name"] for node in trained.graph.nodes if node["kind"] == "QuantizedConvolution"]
    assert [step.name for step in report.steps] == names
    assert report.fallback == []


def test_the_report_prints_and_travels(trained: mobileone.Model, tmp_path: Path) -> None:
    report = trained.quantization
    assert report is not None
    for text in ("in int8", "held-out", "bias_correction", "stage4.1.reparam_conv"):
        assert text in repr(report)
        assert text in report._repr_html_()
    assert QuantizationReport.from_text(report.to_text()) == report
    report.to_json(tmp_path / "report.json")
    assert "top-1" in report.summary()
    with pytest.raises(ValueError, match="no report of a quantization"):
        QuantizationReport.from_text('{"schema": 1}')
    pytest.importorskip("matplotlib")
    lines = report.plot().lines
    assert len(lines[0].get_xdata()) == len(report.steps)


@pytest.mark.parametrize("suffix", ["safetensors", "npz", "pth"])
def test_files_bring_back_the_same_bits(
    trained: mobileone.Model, suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"int8.{suffix}"
    trained.save(path)
    again = mobileone.load(path)
    x, _ = digit_images(0, 5)
    np.testing.assert_array_equal(again(x), trained(x))
    assert again.quantization == trained.quantization
    assert again.data_config == trained.data_config
    stored = {str(array.dtype) for array in trained.state_dict().values()}
    assert stored == {"int8", "int32", "float32"}


def test_integer_files_are_checked(trained: mobileone.Model, tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    name = next(name for name in trained.state_dict() if name.endswith("reparam_conv.weight"))
    for change, message in (
        (lambda w: w.astype(np.float32), r"dtype float32; expected int8"),
        (lambda w: np.full_like(w, -128), r"128"),
    ):
        state = {key: np.array(w) for key, w in trained.state_dict().items()}
        state[name] = change(state[name])
        path = tmp_path / "changed.safetensors"
        safetensors.save_file(state, path, trained.metadata())
        with pytest.raises(ValueError, match=message):
            mobileone.load(path)


def test_the_same_images_give_the_same_network() -> None:
    first, second = quantized(), mobileone.quantize(small(), noise())
    for (name, a), b in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_a_train_time_network_is_reparameterized_first() -> None:
    config = {"widths": [8, 12, 20], "depths": [1, 2, 1], "num_conv_branches": 2}
    model = mobileone.create_model("custom", seed=3, num_classes=7, **config)
    model.input_size = (48, 40)
    x = noise(2, seed=4)
    np.testing.assert_array_equal(mobileone.quantize(model, noise())(x), quantized()(x))


def test_images_in_any_form_are_the_same_images() -> None:
    x, wanted = noise(9), None

    def batches() -> Iterator[NDArray]:
        yield x[:4]
        yield x[4:]

    for data in (x, list(x), batches(), [(image, 0) for image in x], (x, np.zeros(9, int))):
        found = mobileone.quantize(small(), data)(noise(1, seed=3))
        wanted = found if wanted is None else wanted
        np.testing.assert_array_equal(found, wanted)


def test_a_folder_of_pictures(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(0)
    for kind in ("3", "5"):
        (tmp_path / kind).mkdir()
        for i in range(5):
            pixels = rng.integers(0, 256, (60, 50, 3), np.uint8)
            image.fromarray(pixels).save(tmp_path / kind / f"{i}.png")
    report = mobileone.quantize(small(), tmp_path).quantization
    assert report is not None
    assert report.images == report.data[0].labelled == 10


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (np.zeros((0, 3, 48, 40), np.float32), "has no images"),
        ([], "has no images"),
        (np.full((9, 3, 48, 40), np.nan, np.float32), "not finite"),
        ([noise(1)[0], noise(1)[0, :, :40]], "expected one size"),
        (np.zeros((9, 4, 48, 40), np.float32), "channels"),
    ],
)
def test_images_that_are_none(data: object, message: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=message):
            mobileone.quantize(small(), data)


def test_other_things_are_no_images() -> None:
    with pytest.raises(TypeError, match="calibration is a int"):
        mobileone.quantize(small(), 3)


def outlier() -> NDArray:
    x = noise(12).copy()
    x[5, 1, 7, 9] = 1e6
    return x


@pytest.mark.parametrize(
    ("data", "warning", "least"),
    [
        (noise(1), "1 images", 10.0),
        (np.full((12, 3, 48, 40), 0.5, np.float32), "one colour", -10.0),
        (np.zeros((12, 3, 48, 40), np.float32), "one colour", -10.0),
        (outlier(), "image 5 has values up to 1e\\+06", 25.0),
    ],
)
def test_odd_images_warn_and_give_a_sane_network(data: NDArray, warning: str, least: float) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = mobileone.quantize(small(), data)
    assert any(re.search(warning, str(one.message)) for one in caught)
    x = noise(6, seed=8)
    exact, found = small()(x), model(x)
    assert np.isfinite(found).all()
    assert 10 * np.log10(np.square(exact).sum() / np.square(found - exact).sum()) > least
    assert model.quantization is not None
    assert model.quantization.notes


def test_arguments_are_checked() -> None:
    for how, message in (
        ({"observer": "entropy"}, "observer is 'entropy'"),
        ({"float_budget": 2.0}, "float_budget is 2.0"),
        ({"headroom": -1.0}, "headroom is -1.0"),
        ({"images": 0}, "images is 0"),
        ({"keep_float": ["stage9"]}, "keep_float has 'stage9'"),
        ({"keep_float": "stage9"}, "keep_float has 'stage9'"),
        ({"held_out_labels": [0]}, "held_out_labels are given; expected held_out"),
    ):
        with pytest.raises(ValueError, match=message):
            mobileone.quantize(small(), noise(), **how)
    with pytest.raises(ValueError, match="quantized already"):
        mobileone.quantize(quantized(), noise())
    graph = GraphBuilder()
    graph.add("image", "Input", channels=3)
    graph.output(
        graph.add("map", "Conv2d", ["image"], in_channels=3, out_channels=4, kernel_size=3)
    )
    weights = {"map.weight": np.ones((4, 3, 3, 3), np.float32)}
    network = Network(graph.build(), weights)
    config = config_of(network.graph, (1, 3, 48, 40))
    nobodys = mobileone.Model.of(Bundle.of(network, config, arch="imported"))
    with pytest.raises(NotImplementedError, match="imported is of no known task"):
        mobileone.quantize(nobodys, noise())


def test_layers_stay_in_float_by_name_and_by_budget() -> None:
    first = "stage0.reparam_conv"
    report = mobileone.quantize(small(), noise(), keep_float=[first]).quantization
    assert report is not None
    assert report.fallback == [first]
    x, labels = digit_images(0, 64)
    budget = mobileone.quantize(digits(), x, labels=labels, float_budget=0.3)
    report = budget.quantization
    assert report is not None
    assert all(step.alone is not None for step in report.steps)
    left = sum(step.macs for step in report.steps if step.dtype == "float32")
    assert left <= 0.3 * sum(step.macs for step in report.steps)
    plain = mobileone.quantize(digits(), x).quantization
    assert plain is not None
    assert report.data[0].sqnr >= plain.data[0].sqnr - 0.5


def test_no_latency_without_its_accuracy(trained: mobileone.Model, tmp_path: Path) -> None:
    report = trained.quantization
    assert report is not None
    trained.save(tmp_path / "int8.safetensors")
    how = {"runs": 2, "threads": 1}
    for source in (trained, tmp_path / "int8.safetensors"):
        timed = mobileone.benchmark([digits(), source], rounds=1, **how)
        assert list(timed.protocol["int8"].values()) == [report.summary()]
        assert report.summary() in repr(timed)
        steps = mobileone.profile(source, **how)
        assert report.summary() in repr(steps)
        assert sum(row.macs for row in steps.rows[:-1]) == digits().macs
    assert "int8" not in repr(mobileone.profile(digits(), **how))


@each_family
def test_every_family(family: Family, tmp_path: Path) -> None:
    """MobileViT's convolutions and linear layers, too; of its transformers only norms, softmax and
    attention stay in float32.
    """
    model = family.make("inference")
    model.input_size = (64, 64)
    quantized = mobileone.quantize(model, images(16, (64, 64)))
    kinds = Counter(node["kind"] for node in quantized.graph.nodes)
    before = Counter(node["kind"] for node in model.graph.nodes)
    assert kinds["QuantizedConvolution"] == before["Conv2d"] + before["Linear"] - 1
    assert kinds["Linear"] == 1  # the classifier
    x = images(6, (64, 64), seed=5)
    exact, found = model(x), quantized(x)
    assert np.square(exact).sum() > 10**1.5 * np.square(found - exact).sum()
    quantized.save(tmp_path / "int8.safetensors")
    for again in (
        mobileone.load(tmp_path / "int8.safetensors"),
        pickle.loads(pickle.dumps(quantized)),
    ):
        np.testing.assert_array_equal(again(x), found)
        assert again.quantization == quantized.quantization
    for a, b in zip(model.features(x), quantized.features(x), strict=True):
        assert a.shape == b.shape


def test_compiling_for_int8() -> None:
    x = noise(1)
    compiled = quantized().compile(x.shape, dtype="int8", threads=1)
    np.testing.assert_array_equal(compiled(x), quantized()(x))
    with pytest.raises(ValueError, match=r"mobileone\.quantize\(model, images\) makes"):
        small().compile(x.shape, dtype="int8")
    with pytest.raises(NotImplementedError, match="is computed in integers: expected 'int8'"):
        quantized().compile(x.shape, dtype="bfloat16")
    result = mobileone.verify(small(), quantized(), dtype="int8")
    assert result.rows == mobileone.verify(small(), quantized()).rows

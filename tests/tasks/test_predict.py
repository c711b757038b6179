"""preprocess and predict: every kind of image, the geometry of evaluation, warnings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from mobileone.cli import main
from mobileone.data.config import DataConfig
from mobileone.data.pixels import normalise
from mobileone.data.preprocessing import open_image, preprocess, resize_and_crop
from mobileone.tasks.classification.labels import imagenet_classes
from mobileone.tasks.classification.predict import softmax
from numpy.typing import NDArray
from PIL import Image

# Square and not, enlarging and shrinking, up and down in both directions.
SIZES = [(70, 100), (100, 70), (33, 47), (300, 201), (64, 64)]
CONFIG = DataConfig(input_size=(64, 64))


def picture(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    model = mobileone.create_model("mobileone_mu0", num_classes=6, form="inference", seed=1)
    model.input_size = (64, 64)
    return model


# Geometry: what timm's evaluation does, written a second time, in float64 and without Pillow.


def triangle(x: NDArray) -> NDArray:
    return np.maximum(0, 1 - np.abs(x))


def cubic(x: NDArray, a: float = -0.5) -> NDArray:
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def resampling_matrix(source: int, target: int, method: str) -> NDArray:
    """Antialiased interpolation [target, source]: the filter is widened when the image shrinks."""
    kernel, radius = (triangle, 1) if method == "bilinear" else (cubic, 2)
    scale = max(source / target, 1)
    centres = (np.arange(target) + 0.5) * source / target
    matrix = np.zeros((target, source))
    for i, centre in enumerate(centres):
        # The window is rounded to whole pixels.
        first = max(0, int(centre - radius * scale + 0.5))
        last = min(source, int(centre + radius * scale + 0.5))
        pixels = np.arange(first, last)
        weights = kernel((pixels + 0.5 - centre) / scale)
        matrix[i, first:last] = weights / weights.sum()
    return matrix


def expected_crop(pixels: NDArray[np.uint8], config: DataConfig) -> tuple[NDArray, float]:
    """The resized centre crop, and how far 8-bit arithmetic may be from it."""
    height, width = config.input_size
    scale = max(
        int(height / config.crop_pct) / pixels.shape[0],
        int(width / config.crop_pct) / pixels.shape[1],
    )
    # The small term keeps 99.99999 from being cut down to 99.
    tall, wide = (int(extent * scale + 1e-9) for extent in pixels.shape[:2])
    rows = resampling_matrix(pixels.shape[0], tall, config.interpolation)
    columns = resampling_matrix(pixels.shape[1], wide, config.interpolation)
    across = np.einsum("ij,hjc->hic", columns, pixels.astype(np.float64))
    resized = np.einsum("ij,jwc->iwc", rows, np.clip(across, 0, 255))
    top, left = round((tall - height) / 2), round((wide - width) / 2)
    crop = np.clip(resized, 0, 255)[top : top + height, left : left + width]
    # The horizontal pass rounds to whole numbers, 0.5, which the vertical pass weighs; it rounds
    # again. Pillow keeps weights to 22 - 8 bits or more: another 255 * 2^-14 per tap and pass.
    gain = np.abs(rows).sum(axis=1).max()
    taps = max((np.abs(m) > 0).sum(axis=1).max() for m in (rows, columns))
    return crop, 0.5 * gain + 0.5 + (1 + gain) * taps * 255 * 2**-14


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("crop_pct", [0.875, 0.9, 1.0])
@pytest.mark.parametrize("size", SIZES)
def test_resize_and_crop(size: tuple[int, int], crop_pct: float, interpolation: str) -> None:
    for target in ((64, 64), (48, 80), (80, 48)):
        config = DataConfig(input_size=target, crop_pct=crop_pct, interpolation=interpolation)
        pixels = picture(*size)
        found = np.asarray(resize_and_crop(Image.fromarray(pixels), config))
        expected, bound = expected_crop(pixels, config)
        assert found.shape == (*target, 3)
        assert np.abs(found - expected).max() <= bound
        assert bound < 4  # a crop one pixel off is some 100 away


def test_the_published_sizes() -> None:
    for crop_pct, side in ((0.875, 256), (0.9, 248), (256 / 288, 288)):
        size = (256, 256) if side == 288 else (224, 224)
        config = DataConfig(input_size=size, crop_pct=crop_pct)
        image = Image.fromarray(picture(side, side + 7))
        # Already at the size that is cropped: nothing is resampled.
        top, left = (side - size[0]) // 2, round((side + 7 - size[0]) / 2)
        expected = np.asarray(image)[top : top + size[0], left : left + size[0]]
        np.testing.assert_array_equal(np.asarray(resize_and_crop(image, config)), expected)


# Kinds of images.


@pytest.mark.parametrize("config", [CONFIG, replace(CONFIG, channel_order="BGR")])
def test_all_kinds_of_pixels_are_the_same_input(config: DataConfig, tmp_path: Path) -> None:
    pixels = picture(90, 120)
    image = Image.fromarray(pixels)
    path = tmp_path / "x.png"
    image.save(path)
    crop = np.asarray(resize_and_crop(image, config)).transpose(2, 0, 1)[None]
    expected = normalise(crop, config)
    assert expected.shape == (1, 3, 64, 64)
    reds = (0, 2)[config.channel_order == "BGR"]
    value = (crop[0, 0] / 255 - config.mean[reds]) / config.std[reds]
    np.testing.assert_allclose(expected[0, reds], value, rtol=2**-22, atol=2**-22)
    channels_first = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    for source in (
        path,
        str(path),
        image,
        image.convert("RGBA"),
        pixels,
        pixels[None],
        pixels[:, ::-1][:, ::-1],
        channels_first,
        channels_first[None],
        torch.from_numpy(pixels),
        [image],
        (path,),
    ):
        np.testing.assert_array_equal(preprocess(source, config), expected, strict=True)


def test_batches(model: mobileone.Model) -> None:
    pixels = np.stack([picture(80, 90, seed) for seed in range(3)])
    each = np.concatenate([model.preprocess(p) for p in pixels])
    for batch in (pixels, pixels.transpose(0, 3, 1, 2), list(pixels)):
        np.testing.assert_array_equal(model.preprocess(batch), each)
    mixed = [pixels[0], Image.fromarray(picture(200, 100)), picture(65, 64)]
    assert model.preprocess(mixed).shape == (3, 3, 64, 64)


def test_grey_and_palette_images() -> None:
    grey = Image.fromarray(picture(80, 90)).convert("L")
    for image in (grey, grey.convert("P"), grey.convert("LA")):
        found = preprocess(image, CONFIG)
        np.testing.assert_array_equal(found, preprocess(grey.convert("RGB"), CONFIG))


def test_exif_orientation(tmp_path: Path) -> None:
    image = Image.fromarray(picture(80, 120))
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    path = tmp_path / "x.png"
    image.save(path, exif=exif)
    upright = preprocess(image.transpose(Image.Transpose.ROTATE_270), CONFIG)
    np.testing.assert_array_equal(preprocess(path, CONFIG), upright)
    with Image.open(path) as opened:
        np.testing.assert_array_equal(preprocess(opened, CONFIG), upright)


def test_floating_point_arrays_are_ready_input(model: mobileone.Model) -> None:
    x = model.preprocess(picture(80, 90))
    assert np.shares_memory(model.preprocess(x), x)
    np.testing.assert_array_equal(model.preprocess(x[0].astype(np.float64)), x)
    np.testing.assert_array_equal(model.preprocess(torch.from_numpy(x)), x)
    assert model.predict(x) == [model.predict(picture(80, 90))]


# Predictions.


def test_predict_is_the_softmax_of_the_logits(model: mobileone.Model) -> None:
    pixels = picture(80, 90)
    logits = model(model.preprocess(pixels))[0].astype(np.float64)
    expected = np.exp(logits) / np.exp(logits).sum()
    found = model.predict(pixels, topk=6)
    assert [name for name, _ in found] == [f"class {i}" for i in np.argsort(-expected)]
    np.testing.assert_allclose([p for _, p in found], np.sort(expected)[::-1], rtol=1e-12)
    assert all(type(p) is float for _, p in found)
    assert model.predict(pixels, topk=2) == found[:2]
    assert model.predict(pixels, topk=99) == found
    assert model.predict([pixels, pixels], topk=1) == [found[:1], found[:1]]
    assert model.predict(pixels[None], topk=1) == [found[:1]]


def test_predict_evaluates_in_training_mode_too() -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3)
    model.input_size = (64, 64)
    expected, state = model.predict(picture(64, 64)), dict(model.state_dict())
    model.train()
    assert model.predict(picture(64, 64)) == expected
    assert model.training
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, state[name])


def test_names_of_the_classes() -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3, form="inference")
    model.input_size = (32, 32)
    model.class_names = ["ant", "bee", "cat"]
    assert {name for name, _ in model.predict(picture(40, 40))} == {"ant", "bee", "cat"}
    thousand = mobileone.create_model("mobileone_mu0", form="inference")
    thousand.input_size = (32, 32)
    logits = thousand(thousand.preprocess(picture(40, 40)))[0]
    assert thousand.predict(picture(40, 40), 1)[0][0] == imagenet_classes()[int(logits.argmax())]


def test_softmax_of_large_logits() -> None:
    logits = np.array([[3e38, -3e38, 3e38], [1, 2, 3]], np.float32)
    found = softmax(logits)
    np.testing.assert_array_equal(found[0], [0.5, 0, 0.5])
    assert found[1].sum() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("topk", [0, -1, 2.0, "5", True])
def test_bad_topk(model: mobileone.Model, topk: object) -> None:
    with pytest.raises(ValueError, match=f"topk is {topk!r}; expected an integer, at least 1"):
        model.predict(picture(64, 64), topk)


# Warnings: values that contradict the data config.

BGR_CONFIG = DataConfig((0,) * 3, (1,) * 3, channel_order="BGR", input_size=(64, 64))


def photo_like() -> NDArray[np.float32]:
    """Pixels of 0..1 with the whole range in them."""
    return picture(64, 64).transpose(2, 0, 1)[None].astype(np.float32) / 255


@pytest.mark.parametrize(
    ("config", "change", "message"),
    [
        (CONFIG, lambda x: x * 255, r"from 0 to 255, like pixels of 0\.\.255; .*-2\.118 to 2\.64"),
        (CONFIG, lambda x: x, r"from 0 to 1, like pixels of 0\.\.1; the network expects"),
        (CONFIG, lambda x: (x - 0.5) * 255, r"from -127\.5 to 127\.5; the network expects"),
        (CONFIG, lambda x: np.where(x > 0.9, np.nan, x), "not finite"),
        (BGR_CONFIG, lambda x: x * 255, r"like pixels of 0\.\.255; the network expects 0 to 1"),
        (BGR_CONFIG, lambda x: (x - 0.45) / 0.225, r"from -2 to 2\.444; the network expects 0"),
        (CONFIG, lambda x: (x > 0.5).astype(np.uint8), "no pixel is above 1: expected 0 to 255"),
    ],
)
def test_ranges_that_contradict_the_config(
    config: DataConfig, change: Callable[[NDArray], NDArray], message: str
) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3, form="inference")
    model.data_config = config
    x = change(photo_like())
    for call in (
        lambda: model.preprocess(x),
        lambda: model.preprocess([x[0]]),
        lambda: preprocess(x, config),
    ):
        with pytest.warns(UserWarning, match=message) as record:
            call()
        assert [w.filename for w in record] == [__file__]
    with pytest.warns(UserWarning, match=message) as record, np.errstate(all="ignore"):
        model.predict(x)
    assert [w.filename for w in record] == [__file__]


@pytest.mark.parametrize(
    ("config", "change"),
    [
        (CONFIG, lambda x: (x - 0.45) / 0.225),
        (CONFIG, lambda x: np.zeros_like(x)),
        (CONFIG, lambda x: np.full_like(x, 2.2)),  # white
        (CONFIG, lambda x: (x * 1.4 - 0.7) / 0.225),  # sharpened
        (BGR_CONFIG, lambda x: x),
        (BGR_CONFIG, lambda x: np.zeros_like(x)),
        (CONFIG, lambda x: (x * 255).astype(np.uint8)),
        (CONFIG, lambda x: np.zeros(x.shape, np.uint8)),  # black
        (CONFIG, lambda x: x[:0]),
    ],
)
def test_ranges_that_do_not(config: DataConfig, change: Callable[[NDArray], NDArray]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preprocess(change(photo_like()), config)


# What is not an image.


@pytest.mark.parametrize(
    ("image", "error", "message"),
    [
        (np.zeros((64, 64), np.uint8), ValueError, r"shape \(64, 64\); expected HWC or CHW"),
        (np.zeros((64, 64, 4), np.uint8), ValueError, r"\(1, 64, 64, 4\), which is neither of"),
        (np.zeros((3, 9, 3), np.uint8), ValueError, "could be either of"),
        (np.zeros((0, 9, 3), np.uint8), ValueError, "at least one pixel"),
        (np.zeros((64, 64, 3), np.int32), TypeError, "image has dtype int32; expected uint8"),
        (np.zeros((64, 64, 3)), ValueError, r"floating-point arrays are normalised.*Give pixels"),
        (np.zeros((1, 3, 16, 64)), ValueError, "at least 32"),
        (np.zeros((64, 64)), ValueError, r"expected 4|expected \(N|shape \(64, 64\)"),
        ([], ValueError, "image is an empty list"),
        ([np.zeros((2, 64, 64, 3), np.uint8)], ValueError, "expected single images"),
        (Image.new("I", (64, 64)), ValueError, "mode I, with more than 8 bits"),
        (Image.new("I;16", (64, 64)), ValueError, "mode I;16, with more than 8 bits"),
        (None, TypeError, "dtype object"),
        ("/nowhere/x.png", FileNotFoundError, r"/nowhere/x\.png"),
    ],
)
def test_what_is_not_an_image(
    model: mobileone.Model, image: object, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.preprocess(image)


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    Image.fromarray(picture(64, 64)).save(path)
    whole = path.read_bytes()
    for damaged in (b"", b"not an image", whole[: len(whole) // 2], whole[:20]):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"x\.jpg: expected an image that Pillow can read"):
            open_image(path)
    with pytest.raises(IsADirectoryError):
        open_image(tmp_path)


def test_networks_of_other_than_three_channels() -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3, in_channels=4)
    x = np.random.default_rng(0).random((1, 4, 40, 40), np.float32)
    assert np.shares_memory(model.preprocess(x), x)
    with pytest.raises(ValueError, match="which is neither of"):
        model.preprocess(picture(64, 64))


def test_without_pillow(monkeypatch: pytest.MonkeyPatch, model: mobileone.Model) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    for image in ("x.png", picture(64, 64)):
        with pytest.raises(ImportError, match=r"needs Pillow: pip install 'mobileone\[image\]'"):
            model.preprocess(image)
    x = np.zeros((1, 3, 64, 64), np.float32)
    assert len(model.predict(x)) == 1


# The command line.


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=3, form="inference", seed=1)
    model.class_names, model.input_size = ["ant", "bee", "cat"], (64, 64)
    weights, photo = tmp_path / "x.safetensors", tmp_path / "x.png"
    model.save(weights)
    Image.fromarray(picture(80, 90)).save(photo)
    assert main(["predict", str(weights), str(photo), str(photo), "--topk", "2"]) == 0
    text = capsys.readouterr().out
    best = model.predict(photo, 2)
    assert text.count(str(photo)) == 2
    for name, probability in best:
        assert f"{probability:.2%}" in text
        assert name in text
    assert main(["predict", str(weights), str(weights)]) == 1
    assert "expected an image" in capsys.readouterr().err
    assert main(["predict", str(weights), str(tmp_path / "none.png")]) == 1

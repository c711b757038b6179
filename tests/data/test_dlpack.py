"""Arrays in without a copy, 8-bit images normalised by the engine, and results out."""

from __future__ import annotations

import threading
import time
from itertools import product

import mobileone
import numpy as np
import pytest
import torch
from cases import engine_model, images
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileone import _core
from mobileone.data.arrays import as_images, as_numpy
from mobileone.data.config import DataConfig
from mobileone.data.pixels import channels_first, normalise
from numpy.typing import NDArray

CONFIGS = {
    "ImageNet": DataConfig(),
    "0..1, BGR": DataConfig(mean=(0,) * 3, std=(1,) * 3, channel_order="BGR"),
    "statistics of 0..255": DataConfig(
        mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), value_range=(0, 255)
    ),
    "-1..1": DataConfig(mean=(0.5,) * 3, std=(0.25,) * 3, value_range=(-1, 1)),
}


class OnlyDLPack:
    """Exports by DLPack and nothing else."""

    def __init__(self, array: NDArray) -> None:
        self.array = array

    def __dlpack__(self, **options: object) -> object:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()


class OnlyArray:
    """Exports by NumPy's protocol and nothing else."""

    def __init__(self, array: NDArray) -> None:
        self.array = array

    def __array__(self, dtype: object = None, copy: bool | None = None) -> NDArray:
        return self.array


def pixels(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


# What is copied on the way in: nothing that is C-contiguous, aligned float32 already.


@pytest.mark.parametrize("wrap", [np.asarray, OnlyDLPack, OnlyArray, torch.from_numpy])
def test_float32_is_not_copied(wrap: type) -> None:
    x = images(2, (40, 48))
    assert np.shares_memory(as_images(wrap(x), 3), x)
    window = images(4, (40, 48))
    assert np.shares_memory(as_images(wrap(window[1:3]), 3), window[1:3])


def test_torch_views_are_not_copied() -> None:
    x = torch.randn(2, 3, 40, 48, requires_grad=True)
    assert np.shares_memory(as_images(x, 3), x.detach().numpy())
    # Others are, but only once: the view itself costs nothing.
    channels_last = x.detach().to(memory_format=torch.channels_last)
    assert np.shares_memory(as_numpy(channels_last), channels_last.numpy())


def test_read_only_arrays_are_not_copied() -> None:
    x = images(1, (40, 48))
    x.flags.writeable = False
    assert np.shares_memory(as_images(x, 3), x)


@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda x: x[:, :, ::-1],
        lambda x: x[..., 1:],
        lambda x: x.astype(np.float64),
        lambda x: x.astype(np.float16),
        lambda x: x.astype(">f4"),
        lambda x: np.broadcast_to(x[:1], x.shape),
    ],
)
def test_everything_else_is_copied_once_and_never_changed(change: type) -> None:
    x = change(images(2, (40, 48)))
    before = x.copy()
    found = as_images(x, 3)
    assert not np.shares_memory(found, x)
    assert found.flags.c_contiguous
    assert found.flags.aligned
    assert found.dtype == np.dtype("=f4")
    engine_model("mobileone_mu0", "inference")(x)
    np.testing.assert_array_equal(x, before)


# What comes out: NumPy arrays of the caller's own, that any library takes without a copy.


def test_results_are_exported_without_a_copy() -> None:
    model, x = engine_model("mobileone_mu0", "inference"), images(2, (40, 48))
    for result in (model(x), *model.features(x), model.compile(x.shape)(x)):
        assert type(result) is np.ndarray
        assert result.flags.owndata
        assert result.flags.writeable
        tensor = torch.from_dlpack(result)
        assert tensor.dtype == torch.float32
        assert tensor.data_ptr() == result.ctypes.data
        tensor.zero_()
        assert not result.any()


def test_out_is_filled_in_place() -> None:
    model, x = engine_model("mobileone_mu0", "inference"), images(2, (40, 48))
    tensor = torch.empty(2, 1000)
    out = tensor.numpy()
    assert model(pixels(2, 40, 48, 3), out=out) is out
    assert model(torch.from_numpy(x), out=out) is out
    np.testing.assert_array_equal(tensor.numpy(), model(x))


# 8-bit images.


def naive(x: NDArray[np.uint8], config: DataConfig) -> NDArray[np.float32]:
    """The formula, pixel by pixel in Python's float64, for RGB pixels [N, C, H, W]."""
    out = np.empty(x.shape, np.float32)
    low, high = config.value_range
    for n, c, h, w in np.ndindex(*x.shape):
        source = 2 - c if config.channel_order == "BGR" else c
        value = low + int(x[n, source, h, w]) * (high - low) / 255.0
        out[n, c, h, w] = np.float32((value - config.mean[c]) / config.std[c])
    return out


@pytest.mark.parametrize("name", CONFIGS)
def test_normalisation_is_the_formula_rounded_once(name: str) -> None:
    config = CONFIGS[name]
    every = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    for x in (np.repeat(every, 3, axis=1), pixels(2, 3, 5, 7)):
        np.testing.assert_array_equal(normalise(x, config), naive(x, config), strict=True)


def test_normalisation_is_what_torch_computes() -> None:
    # torch rounds the quotient by 255, the difference and the second quotient, each to float32:
    # relative errors of 2^-24 of intermediate values that are at most 1, 1 and 1/min(std).
    config = CONFIGS["ImageNet"]
    x = pixels(2, 3, 9, 8)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (config.mean, config.std))
    expected = ((torch.from_numpy(x).float() / 255 - mean) / std).numpy()
    bound = 2**-24 * (3 + 2) / min(config.std)  # and mean, std and our result are rounded too
    assert np.abs(normalise(x, config) - expected).max() <= bound


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_strides(data: st.DataObject) -> None:
    base = pixels(4, 6, 9, 10)
    view = base
    for axis in range(4):
        step = data.draw(st.sampled_from([-2, -1, 1, 2]))
        start = data.draw(st.integers(0, 1))
        part = slice(start, None, step) if step > 0 else slice(-1 - start, None, step)
        view = view[(slice(None),) * axis + (part,)]
    if data.draw(st.booleans()):
        view = np.broadcast_to(view[:, :, :1], view.shape)
    view = view[:, :3] if view.shape[1] >= 3 else np.repeat(view, 3, axis=1)[:, :3]
    config = CONFIGS[data.draw(st.sampled_from(list(CONFIGS)))]
    np.testing.assert_array_equal(normalise(view, config), naive(view, config))


@pytest.mark.parametrize("name", CONFIGS)
def test_the_model_takes_pixels_in_either_order_of_axes(name: str) -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=5)
    model.data_config = CONFIGS[name]
    first = pixels(2, 3, 33, 40)
    last = np.ascontiguousarray(first.transpose(0, 2, 3, 1))
    expected = model(naive(first, CONFIGS[name]))
    compiled = model.compile(first.shape)
    sources = (
        first,
        last,
        torch.from_numpy(last),
        OnlyDLPack(first),
        first[:, :, ::-1][:, :, ::-1],
    )
    for x, run in product(sources, (model, compiled)):
        np.testing.assert_array_equal(run(x), expected)
    features = model.features(naive(first, CONFIGS[name]))
    for a, b in zip(model.features(last), features, strict=True):
        np.testing.assert_array_equal(a, b)


def test_reparameterized_models_normalise_alike() -> None:
    model = mobileone.create_model("mobileone_mu0", num_classes=5)
    model.data_config = CONFIGS["0..1, BGR"]
    fused = mobileone.reparameterize(model)
    x = pixels(1, 3, 32, 32)
    np.testing.assert_array_equal(fused(x), fused(naive(x, model.data_config)))


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((40, 40, 3), r"x has shape \(40, 40, 3\); expected 4 axes, \(N, 3, H, W\) or NHWC"),
        ((1, 40, 40, 4), r"is neither of \(N, 3, H, W\) and \(N, H, W, 3\)"),
        ((1, 3, 40, 3), "could be either of"),
        ((1, 3, 31, 40), r"\(1, 3, 31, 40\); height and width must be at least 32"),
        ((1, 40, 31, 3), r"\(1, 3, 40, 31\); height and width must be at least 32"),
    ],
)
def test_shapes_that_are_no_images(shape: tuple[int, ...], message: str) -> None:
    model = engine_model("mobileone_mu0", "inference")
    with pytest.raises(ValueError, match=message):
        model(np.zeros(shape, np.uint8))


def test_the_engine_checks_what_it_is_given() -> None:
    x, out = pixels(1, 3, 4, 4), np.empty((1, 3, 4, 4), np.float32)
    for bad in (x.astype(np.int8), x[0], x.astype(np.uint16)):
        with pytest.raises(ValueError, match=r"\[normalize\] images are .*expected uint8"):
            _core.normalize_images(bad, 0, 1, [0] * 3, [1] * 3, out)
    for bad_out in (out[..., :3], out.astype(np.float64), np.asfortranarray(out)):
        with pytest.raises(ValueError, match=r"out is .*; expected a C-contiguous writeable"):
            _core.normalize_images(x, 0, 1, [0] * 3, [1] * 3, bad_out)
    with pytest.raises(ValueError, match="images have 3 channels; expected 2"):
        _core.normalize_images(x, 0, 1, [0] * 2, [1] * 2, out)
    with pytest.raises(ValueError, match="2 means and 3 standard deviations"):
        _core.normalize_images(x[:, :2], 0, 1, [0] * 2, [1] * 3, out[:, :2].copy())


def test_no_images() -> None:
    model = engine_model("mobileone_mu0", "inference")
    assert model(np.zeros((0, 40, 40, 3), np.uint8)).shape == (0, 1000)


def test_other_threads_run_meanwhile() -> None:
    """The GIL is free while pixels are converted: a Python thread gets on."""
    x, config = pixels(1, 3, 4000, 4000), CONFIGS["ImageNet"]
    done = threading.Event()
    ticks = 0

    def tick() -> None:
        nonlocal ticks
        while not done.is_set():
            ticks += 1
            time.sleep(0.0005)

    out = np.empty(x.shape, np.float32)
    thread = threading.Thread(target=tick)
    thread.start()
    time.sleep(0.01)
    before = ticks
    _core.normalize_images(x, 0, 1, config.mean, config.std, out)
    during = ticks - before
    done.set()
    thread.join()
    # The call takes some 30 ms; holding the GIL, it would let the thread run before and after only.
    assert during > 4


def test_channels_first_is_a_view() -> None:
    x = pixels(2, 5, 6, 3)
    assert np.shares_memory(channels_first(x, 3), x)
    assert channels_first(x, 3).shape == (2, 3, 5, 6)

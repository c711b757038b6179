"""Arrays in and out: every stride, dtype and error."""

from __future__ import annotations

from collections.abc import Callable

import mobileone
import numpy as np
import pytest
import torch
from cases import engine_model, images
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

CLASSES = 1000


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return engine_model("mobileone_mu0", "inference")


@pytest.fixture(scope="module")
def x() -> NDArray:
    return images(2, (40, 48))


@pytest.fixture(scope="module")
def expected(model: mobileone.Model, x: NDArray) -> NDArray:
    return model(x)


def misaligned(x: NDArray) -> NDArray:
    """The same values at an address that is no multiple of four."""
    raw = np.empty(x.nbytes + 1, np.uint8)[1:]
    raw[:] = np.frombuffer(x.tobytes(), np.uint8)
    return raw.view(x.dtype).reshape(x.shape)


def read_only(x: NDArray) -> NDArray:
    x = x.copy()
    x.flags.writeable = False
    return x


SAME_VALUES: dict[str, Callable[[NDArray], object]] = {
    "fortran order": np.asfortranarray,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "every second column": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    "negative strides": lambda x: x[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
    "window of a larger array": lambda x: np.pad(x, 3)[3:-3, 3:-3, 3:-3, 3:-3],
    "read-only": read_only,
    "misaligned": misaligned,
    "float64": lambda x: x.astype(np.float64),
    "big-endian": lambda x: x.astype(">f4"),
    "torch tensor": torch.from_numpy,
    "torch tensor with gradient": lambda x: torch.from_numpy(x).requires_grad_(),
    "torch channels_last": lambda x: torch.from_numpy(x).to(memory_format=torch.channels_last),
    "nested lists": lambda x: x.tolist(),
}


@pytest.mark.parametrize("kind", SAME_VALUES)
def test_the_same_values_give_the_same_bits(
    model: mobileone.Model, x: NDArray, expected: NDArray, kind: str
) -> None:
    before = x.copy()
    np.testing.assert_array_equal(model(SAME_VALUES[kind](x)), expected)
    np.testing.assert_array_equal(model.compile(x.shape)(SAME_VALUES[kind](x)), expected)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("convert", [np.asarray, torch.from_numpy])
def test_float16_is_widened_exactly(
    model: mobileone.Model, x: NDArray, convert: Callable[[NDArray], object]
) -> None:
    half = x.astype(np.float16)
    np.testing.assert_array_equal(model(convert(half)), model(half.astype(np.float32)))


def test_bfloat16_is_widened_exactly(model: mobileone.Model, x: NDArray) -> None:
    brain = torch.from_numpy(x).bfloat16()
    np.testing.assert_array_equal(model(brain), model(brain.float()))


def test_float64_is_rounded_to_nearest(model: mobileone.Model, x: NDArray) -> None:
    fine = x.astype(np.float64) * (1 + 2.0**-40)
    np.testing.assert_array_equal(model(fine), model(fine.astype(np.float32)))


def test_pixels_are_normalised_as_in_training(model: mobileone.Model) -> None:
    """Bytes, RGB, either axis order: (v / 255 - mean) / std of ImageNet, rounded once."""
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 40, 48), np.uint8)
    mean = np.reshape([0.485, 0.456, 0.406], (3, 1, 1))
    std = np.reshape([0.229, 0.224, 0.225], (3, 1, 1))
    normalised = ((pixels / 255 - mean) / std).astype(np.float32)
    last = np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))
    expected = model(normalised)
    for same in (pixels, last, last[:, ::-1].copy()[:, ::-1], read_only(pixels)):
        np.testing.assert_array_equal(model(same), expected)
    np.testing.assert_array_equal(model(torch.from_numpy(pixels)), expected)


def test_broadcast_images(model: mobileone.Model, x: NDArray) -> None:
    repeated = np.broadcast_to(x[:1], (3, *x.shape[1:]))
    assert repeated.strides[0] == 0
    logits = model(repeated)
    np.testing.assert_array_equal(logits, np.repeat(logits[:1], 3, axis=0))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_any_view_equals_its_copy(data: st.DataObject) -> None:
    model, base = engine_model("mobileone_mu0", "inference"), images(3, (80, 96), seed=3)
    index = tuple(
        slice(None, None, data.draw(st.sampled_from([-1, 1])))
        if axis < 2
        else slice(data.draw(st.integers(0, 12)), None, data.draw(st.sampled_from([1, 2])))
        for axis in range(4)
    )
    view = base[index]
    if data.draw(st.booleans()):
        view = view.swapaxes(2, 3)
    np.testing.assert_array_equal(model(view), model(view.copy(order="C")))


@pytest.mark.parametrize("form", ["train-time", "inference"])
def test_no_images(form: str) -> None:
    model = engine_model("mobileone_mu0", form)
    nothing = np.empty((0, 3, 64, 64), np.float32)
    assert model(nothing).shape == (0, CLASSES)
    assert [level.shape for level in model.features(nothing)] == [
        (0, 48, 32, 32),
        (0, 48, 16, 16),
        (0, 64, 8, 8),
        (0, 128, 4, 4),
        (0, 384, 2, 2),
    ]
    out = np.empty((0, CLASSES), np.float32)
    assert model(nothing, out=out) is out


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 64, 64), r"x has shape \(3, 64, 64\); expected \(batch, 3, height, width\)"),
        ((64, 64), r"x has shape \(64, 64\)"),
        ((), r"x has shape \(\)"),
        ((1, 1, 3, 64, 64), r"x has shape \(1, 1, 3, 64, 64\)"),
        ((1, 4, 64, 64), r"x has shape \(1, 4, 64, 64\); expected 3 channels"),
        ((1, 64, 64, 3), r"expected 3 channels.*NCHW"),
        ((1, 0, 64, 64), r"expected 3 channels"),
        ((1, 3, 31, 64), r"x has shape \(1, 3, 31, 64\).*at least 32"),
        ((1, 3, 64, 31), r"x has shape \(1, 3, 64, 31\).*at least 32"),
        ((1, 3, 0, 64), r"at least 32"),
    ],
)
def test_wrong_shapes_name_the_argument(
    model: mobileone.Model, shape: tuple[int, ...], message: str
) -> None:
    x = np.zeros(shape, np.float32)
    with pytest.raises(ValueError, match=message):
        model(x)
    with pytest.raises(ValueError, match=message):
        model.features(x)


@pytest.mark.parametrize("dtype", [np.int32, np.int8, np.bool_, np.complex64, object])
def test_wrong_dtypes_name_the_argument(model: mobileone.Model, dtype: type) -> None:
    with pytest.raises((TypeError, ValueError), match=f"x has dtype {np.dtype(dtype)}"):
        model(np.zeros((1, 3, 64, 64), dtype))


def test_masked_elements_have_no_values(model: mobileone.Model, x: NDArray) -> None:
    """What lies under a mask would be taken for pixels."""
    whole = np.ma.array(x)
    assert np.array_equal(model(whole), model(x))
    mask = np.zeros(x.shape, bool)
    mask[0, 0, 3, :2] = True
    with pytest.raises(ValueError, match="a masked array with 2 masked elements; fill them first"):
        model(np.ma.array(x, mask=mask))
    picture = np.ma.array(np.zeros((40, 40, 3), np.uint8), mask=True)
    for take in (model.predict, model.preprocess, lambda p: model(p[None])):
        with pytest.raises(ValueError, match="4800 masked elements"):
            take(picture)


@pytest.mark.parametrize("nonsense", [None, "image", 3.0, {"x": 1}, [[1.0], [2.0, 3.0]]])
def test_not_arrays(model: mobileone.Model, nonsense: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        model(nonsense)


@pytest.mark.parametrize("size", [(32, 32), (33, 32), (32, 63), (37, 191)])
def test_any_size_from_32_on(model: mobileone.Model, size: tuple[int, int]) -> None:
    x = images(2, size)
    levels = model.features(x)
    height, width = size
    for level in levels:
        height, width = (height + 1) // 2, (width + 1) // 2
        assert level.shape[2:] == (height, width)
    np.testing.assert_array_equal(model(x)[1], model(x[1:])[0])


def test_out_receives_the_logits(model: mobileone.Model, x: NDArray, expected: NDArray) -> None:
    out = np.full((2, CLASSES), np.nan, np.float32)
    assert model(x, out=out) is out
    np.testing.assert_array_equal(out, expected)
    odd = misaligned(out)
    np.testing.assert_array_equal(model(x, out=odd), expected)
    out[:] = np.nan
    assert model.compile(x.shape)(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_out_may_be_part_of_an_array(model: mobileone.Model, x: NDArray, expected: NDArray) -> None:
    whole = np.full((6, CLASSES), 7, np.float32)
    model(x, out=whole[2:4])
    np.testing.assert_array_equal(whole[2:4], expected)
    assert (whole[:2] == 7).all()
    assert (whole[4:] == 7).all()


WRONG_OUT: dict[str, Callable[[], object]] = {
    "shape": lambda: np.empty((3, CLASSES), np.float32),
    "rank": lambda: np.empty((2, CLASSES, 1), np.float32),
    "dtype": lambda: np.empty((2, CLASSES), np.float64),
    "byte order": lambda: np.empty((2, CLASSES), ">f4"),
    "fortran order": lambda: np.empty((2, CLASSES), np.float32, order="F"),
    "strided": lambda: np.empty((2, 2 * CLASSES), np.float32)[:, ::2],
    "read-only": lambda: read_only(np.empty((2, CLASSES), np.float32)),
    "not an array": lambda: [0.0] * CLASSES,
    "a tensor": lambda: torch.empty(2, CLASSES),
}


@pytest.mark.parametrize("kind", WRONG_OUT)
def test_wrong_out_is_refused(model: mobileone.Model, x: NDArray, kind: str) -> None:
    for run in (model, model.compile(x.shape)):
        with pytest.raises((TypeError, ValueError), match=r"^out is"):
            run(x, out=WRONG_OUT[kind]())  # type: ignore[arg-type]


def test_results_are_the_callers(model: mobileone.Model, x: NDArray, expected: NDArray) -> None:
    first = model(x)
    first[:] = 0
    levels = model.features(x)
    copies = [level.copy() for level in levels]
    for level in levels:
        assert level.flags.owndata
        level[:] = 0
    np.testing.assert_array_equal(model(x), expected)
    for a, b in zip(model.features(x), copies, strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_cannot_be_changed_from_outside(model: mobileone.Model) -> None:
    for value in model.state_dict().values():
        assert not value.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            value.flags.writeable = True

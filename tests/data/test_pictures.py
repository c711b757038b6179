"""Pictures from open files and bytes, of one and four channels, of extreme shapes."""

from __future__ import annotations

import io
import resource
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.data.config import plain_data_config
from mobileone.data.preprocessing import ImageError, preprocess, resize_and_crop
from PIL import Image


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return mobileone.create_model("mobileone_mu0", num_classes=10, seed=0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    path = tmp_path / "picture.png"
    Image.fromarray(pixels).save(path)
    return path


def test_open_files_bytes_and_buffers(model: mobileone.Model, picture: Path) -> None:
    expected = model.predict(picture)
    content = picture.read_bytes()
    with picture.open("rb") as file:
        file.read(7)
        sources = (file, io.BytesIO(content), content, bytearray(content), memoryview(content))
        for source in sources:
            assert model.predict(source) == expected
        assert file.tell() == 7  # the caller's file is as it was
        assert file.read(1) == content[7:8]
    assert model.predict([content, picture]) == [expected, expected]


def test_files_that_are_none(model: mobileone.Model, picture: Path) -> None:
    with pytest.raises(ImageError, match="the given BytesIO: expected an image"):
        model.predict(io.BytesIO(b"no picture"))
    with picture.open(encoding="latin-1") as text, pytest.raises(TypeError, match="reads str"):
        model.predict(text)
    with picture.open("rb") as file, pytest.raises(TypeError):
        model(file)  # logits take arrays


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (4, "RGBA")])
def test_networks_of_one_and_four_channels(channels: int, mode: str, picture: Path) -> None:
    config = plain_data_config(channels)
    with Image.open(picture) as image:
        converted = image.convert(mode)
    pixels = np.asarray(converted).reshape(64, 80, channels)
    right = np.stack(
        [
            np.asarray(resize_and_crop(Image.fromarray(pixels[..., c].copy()), config))
            for c in range(channels)
        ]
    )
    for source in (pixels, pixels[None], np.ascontiguousarray(pixels.transpose(2, 0, 1))):
        found = preprocess(source, config)
        assert found.shape == (1, channels, 224, 224)
        np.testing.assert_allclose(found[0] * 255, right, atol=1e-4)
    # Pillow weights colours by their alpha as it resizes; this picture has none.
    np.testing.assert_allclose(preprocess(picture, config)[0] * 255, right, atol=1e-4)
    np.testing.assert_array_equal(preprocess(picture, config), preprocess(converted, config))
    model = mobileone.create_model(
        "custom", widths=[8], depths=[1], num_classes=4, in_channels=channels
    )
    assert len(model.predict(picture, topk=4)) == 4  # type: ignore[arg-type]


def test_gray_pixels_without_an_axis_for_them(picture: Path) -> None:
    config = plain_data_config(1)
    with Image.open(picture) as image:
        gray = np.asarray(image.convert("L"))
    np.testing.assert_array_equal(preprocess(gray, config), preprocess(gray[..., None], config))


def test_five_channels_take_arrays_only(picture: Path) -> None:
    config = plain_data_config(5)
    with pytest.raises(ValueError, match="a picture has 1, 3 or 4 channels, this network 5"):
        preprocess(picture, config)
    pixels = np.zeros((40, 50, 5), np.uint8)
    assert preprocess(pixels, config).shape == (1, 5, 224, 224)


@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (2, 60_000)])
def test_narrow_pictures_take_little(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (10, 20, 30))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    config = mobileone.create_model("mobileone_mu0").data_config
    found = np.asarray(resize_and_crop(image, config))
    assert found.shape == (224, 224, 3)
    assert (found == (10, 20, 30)).all()
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 200_000  # KiB; enlarging it whole would take gigabytes


def test_the_centre_of_a_narrow_picture_is_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cropped before it is enlarged, to the same pixels but for Pillow's rounding."""
    from mobileone.data import preprocessing

    pixels = np.random.default_rng(1).integers(0, 256, (3, 800, 3), np.uint8)
    config = mobileone.create_model("mobileone_mu0").data_config
    whole = np.asarray(resize_and_crop(Image.fromarray(pixels), config)).astype(int)
    monkeypatch.setattr(preprocessing, "_MAX_RESIZED", 1)
    centre = np.asarray(resize_and_crop(Image.fromarray(pixels), config)).astype(int)
    assert np.abs(whole - centre).max() <= 1


def test_a_tensor_with_the_negative_bit() -> None:
    torch = pytest.importorskip("torch")
    z = torch.randn(1, 3, 64, 64, dtype=torch.complex64, generator=torch.Generator().manual_seed(0))
    x = z.conj().imag
    assert x.is_neg()
    model = mobileone.create_model("mobileone_mu0", num_classes=10, seed=0)
    np.testing.assert_array_equal(model(x), model(x.resolve_neg().numpy()))
    state = {name: torch.from_numpy(np.array(w)) for name, w in model.state_dict().items()}
    key = "stage1.0.rbr_conv.0.conv.weight"
    lazily = torch.complex(torch.zeros_like(state[key]), -state[key]).conj().imag
    assert lazily.is_neg()
    again = mobileone.load(state | {key: lazily})
    np.testing.assert_array_equal(again.state_dict()[key], model.state_dict()[key])

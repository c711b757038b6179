"""Labelled images: digits, arrays, folders; and batches of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.data.config import DataConfig
from mobileone.data.datasets import digits
from mobileone.data.datasets.folder import FolderSamples
from mobileone.data.datasets.loader import Loader
from mobileone.data.datasets.samples import ArraySamples, check_labels
from PIL import Image

CONFIG = DataConfig(input_size=(32, 32), crop_pct=1.0)
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (11, 40, 36, 3), np.uint8)
LABELS = np.arange(11) % 4


def batches(loader: Loader, **which: Any) -> tuple[np.ndarray, np.ndarray]:
    parts = list(loader.batches(**which))
    return np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])


def test_the_honest_split_holds_out_the_end_of_the_file() -> None:
    sklearn = pytest.importorskip("sklearn.datasets")
    whole = sklearn.load_digits()
    train, held_out = digits.split_digits("writers")
    assert (len(train.labels), len(held_out.labels)) == (1437, 360)
    np.testing.assert_array_equal(np.r_[train.labels, held_out.labels], whole.target)
    large = np.concatenate([train.pixels, held_out.pixels])
    # The mean of a digit's pixels is kept where the image is enlarged, but for borders.
    inside = large[:, 2:-2, 2:-2, 0].reshape(len(large), -1).mean(1)
    assert np.corrcoef(inside, whole.images.reshape(len(large), -1).mean(1))[0, 1] > 0.95


def test_the_shuffled_split_is_another_one_of_the_same_images() -> None:
    pytest.importorskip("sklearn")
    honest = digits.split_digits("writers")
    shuffled = digits.split_digits("shuffled")
    for split in (honest, shuffled):
        assert sum(len(part.labels) for part in split) == 1797
    images = [
        sorted(p.tobytes() for part in split for p in part.pixels) for split in (honest, shuffled)
    ]
    assert images[0] == images[1]
    ours, theirs = ({p.tobytes() for p in split[1].pixels} for split in (honest, shuffled))
    assert 30 < len(ours & theirs) < 120, "a fifth of a fifth, about 72"


def test_digits_are_enlarged_as_pillow_does() -> None:
    small = RNG.integers(0, 17, (5, 8, 8)).astype(np.uint8)
    for image, large in zip(small, digits.upscaled(small), strict=True):
        exact = Image.fromarray(image.astype(np.float32) * (255 / 16))
        expected = np.asarray(exact.resize((32, 32), Image.Resampling.BILINEAR))
        assert np.abs(large[..., 0] - expected).max() <= 0.5 + 1e-4
        assert (large == large[..., :1]).all()


def test_the_shipped_digits_are_the_held_out_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("sklearn")
    expected = digits.split_digits("writers")[1]
    monkeypatch.setitem(sys.modules, "sklearn", None)
    found = digits.held_out_digits()
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert found.class_names == tuple("0123456789")


def test_digits_without_scikit_learn_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"mobileone\[train\]"):
        digits.split_digits()
    with pytest.raises(ValueError, match="split is 'random'; expected"):
        digits.split_digits("random")


@pytest.mark.parametrize("first", [True, False])
def test_arrays_are_pixels_in_either_order(first: bool) -> None:
    given = PIXELS.transpose(0, 3, 1, 2) if first else PIXELS
    samples = ArraySamples(given, LABELS)
    np.testing.assert_array_equal(np.asarray(samples.image(3)), PIXELS[3])
    grey = ArraySamples(PIXELS[..., :1], LABELS)
    assert grey.image(0).mode == "L"


@pytest.mark.parametrize(
    ("images", "labels", "error", "message"),
    [
        (PIXELS.astype(float), LABELS, TypeError, "images has dtype float64"),
        (PIXELS[..., :2], LABELS, ValueError, r"images has shape \(11, 40, 36, 2\)"),
        (PIXELS, LABELS[:5], ValueError, r"labels has shape \(5,\); expected \(11,\)"),
        (PIXELS, LABELS - 1, ValueError, "labels has -1"),
        (PIXELS, LABELS * 0.5, TypeError, "labels has dtype float64"),
        (PIXELS, np.full((11, 4), 0.3), ValueError, "sum to 1"),
        (PIXELS, np.full((11, 4), 1), TypeError, "expected probabilities"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(
    images: Any, labels: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        ArraySamples(images, labels)


def test_probabilities_are_labels_too() -> None:
    soft = np.full((2, 4), 0.25)
    assert check_labels(soft, 2).dtype == np.float32
    assert check_labels([1, 2], 2).dtype == np.int64


def folder_of(tmp_path: Path, classes: dict[str, int]) -> Path:
    for name, count in classes.items():
        (tmp_path / name / "inner").mkdir(parents=True)
        for i in range(count):
            Image.fromarray(PIXELS[i]).save(tmp_path / name / "inner" / f"{i}.png")
    (tmp_path / "notes.txt").write_text("not a class")
    return tmp_path


def test_a_folder_has_a_class_per_folder(tmp_path: Path) -> None:
    samples = FolderSamples(folder_of(tmp_path, {"cat": 2, "bird": 3}))
    assert samples.class_names == ("bird", "cat")
    assert samples.labels.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_array_equal(np.asarray(samples.image(4)), PIXELS[1])
    for told in ({"class_names": ("cat", "bird")}, {"order": ("cat", "bird")}):
        turned = FolderSamples(tmp_path, **told)
        assert (turned.class_names, turned.paths) == (("cat", "bird"), samples.paths)
        assert turned.labels.tolist() == [1, 1, 1, 0, 0]
    assert FolderSamples(tmp_path, order=("cat", "dog")).class_names == ("bird", "cat")


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        FolderSamples(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="has no folders"):
        FolderSamples(tmp_path)
    root = folder_of(tmp_path / "a", {"cat": 1, "dog": 1})
    with pytest.raises(NotADirectoryError):
        FolderSamples(root / "notes.txt")
    with pytest.raises(ValueError, match=r"cat, dog; expected .* differ by bird"):
        FolderSamples(root, ("bird", "cat", "dog"))
    (root / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty: has no images"):
        FolderSamples(root)


def test_evaluation_takes_every_image_in_order_as_preprocess_does() -> None:
    from mobileone.data.preprocessing import preprocess

    config = DataConfig(input_size=(32, 32))
    x, y = batches(Loader(ArraySamples(PIXELS, LABELS), config, 4))
    np.testing.assert_array_equal(y, LABELS)
    np.testing.assert_array_equal(x, preprocess(PIXELS, config))


def test_an_epoch_has_its_own_order_and_augmentation_and_no_small_batch() -> None:
    loader = Loader(ArraySamples(PIXELS, LABELS), CONFIG, 4, Augmentation(), 5, training=True)
    assert len(loader) == len(list(loader.batches(0))) == 2
    first, again, second = (batches(loader, epoch=e)[0] for e in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)
    few = Loader(ArraySamples(PIXELS[:3], LABELS[:3]), CONFIG, 4, Augmentation(), training=True)
    assert [len(y) for _, y in few.batches(0)] == [3]


def test_images_do_not_depend_on_batch_size_or_start() -> None:
    samples = ArraySamples(PIXELS[:8], LABELS[:8])
    one, four = (Loader(samples, CONFIG, n, Augmentation(), 5, training=True) for n in (1, 4))
    np.testing.assert_array_equal(batches(one, epoch=2)[0], batches(four, epoch=2)[0])
    rest = batches(four, epoch=2, start=1)[0]
    np.testing.assert_array_equal(rest, batches(four, epoch=2)[0][4:])


def test_sizes_and_grey_images() -> None:
    grey = DataConfig(mean=(0.5,), std=(0.5,), input_size=(32, 32))
    loader = Loader(ArraySamples(PIXELS, LABELS), grey, 4, Augmentation(), training=True)
    assert [x.shape for x, _ in loader.batches(0, size=(48, 40))] == [(4, 1, 48, 40)] * 2

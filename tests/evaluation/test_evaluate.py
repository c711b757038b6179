"""evaluate: folders, arrays and iterables; workers; errors; results that go on."""

from __future__ import annotations

import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from mobileone.data.preprocessing import ImageError
from mobileone.evaluation import decoders
from mobileone.evaluation.result import Evaluation
from PIL import Image

from .pictures import ORIENTATION, SYNSETS, image_folder, pixels

RNG = np.random.default_rng(0)


def network(classes: int = 1000, seed: int = 1) -> mobileone.Model:
    """Small, and takes pictures of 64 x 64."""
    model = mobileone.create_model("custom", widths=[8], depths=[1], num_classes=classes, seed=seed)
    model.input_size = (64, 64)
    return mobileone.reparameterize(model)


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return network()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("pictures") / "val", 40)


def rows(result: Evaluation) -> list[dict[str, Any]]:
    return result.to_dataframe().to_dict("records")


def same(first: Evaluation, second: Evaluation) -> None:
    """Bit by bit, of every picture and in total."""
    for one, two in zip(rows(first), rows(second), strict=True):
        assert json.dumps(one) == json.dumps(two)
    assert first.totals.nll_units == second.totals.nll_units
    assert json.dumps(first.to_dict()["per_class"]) == json.dumps(second.to_dict()["per_class"])
    assert first.ece == second.ece


def test_figures_are_those_of_a_plain_loop(model: mobileone.Model, folder: Path) -> None:
    result = mobileone.evaluate(model, folder, workers=0, upright=True)
    found = rows(result)
    assert len(found) == 48
    assert [row["key"] for row in found] == sorted(row["key"] for row in found)
    logits = np.concatenate([model(model.preprocess(folder / row["key"])) for row in found])
    exact = logits.astype(np.float64)
    p = np.exp(exact - exact.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    labels = np.array([SYNSETS[row["key"].split("/")[0]] for row in found])
    assert [row["prediction"] for row in found] == logits.argmax(1).tolist()
    order = np.argsort(-exact, 1, kind="stable")
    assert [row["rank"] for row in found] == np.where(order == labels[:, None])[1].tolist()
    nll = -np.log(p[np.arange(48), labels])
    np.testing.assert_allclose([row["nll"] for row in found], nll, rtol=1e-9)
    assert result.nll.value == pytest.approx(nll.mean(), rel=1e-9)
    assert result.top1.value == (logits.argmax(1) == labels).mean()
    assert result.top5.value == (order[:, :5] == labels[:, None]).any(1).mean()
    confidence, right = p.max(1), logits.argmax(1) == labels
    bins = np.ceil(confidence * 15)
    gaps = [
        (bins == b).sum() * abs(confidence[bins == b].mean() - right[bins == b].mean())
        for b in np.unique(bins)
    ]
    assert result.ece == pytest.approx(sum(gaps) / 48, rel=1e-8)
    matrix = result.confusion()
    assert matrix.sum() == 48
    assert all(matrix[label].sum() == (labels == label).sum() for label in SYNSETS.values())


@pytest.mark.parametrize("workers", [1, 3])
def test_any_number_of_workers_gives_the_same_bits(
    workers: int, model: mobileone.Model, folder: Path
) -> None:
    here = mobileone.evaluate(model, folder, workers=0, batch_size=8)
    there = mobileone.evaluate(model, folder, workers=workers, threads=2, batch_size=8)
    same(here, there)


def test_orientation_is_noted_and_applied_on_demand(model: mobileone.Model, tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    image = Image.fromarray(pixels(np.random.default_rng(1), 100, 80))
    image.save(tmp_path / "7" / "turned.jpg", exif=exif)
    stored = mobileone.evaluate(model, tmp_path)
    assert any("1 pictures have an EXIF orientation" in note for note in stored.notes)
    turned = mobileone.evaluate(model, tmp_path, upright=True)
    assert not any("EXIF" in note for note in turned.notes)
    assert rows(stored)[0]["nll"] != rows(turned)[0]["nll"]


def test_what_cannot_be_read_is_named_and_counted(model: mobileone.Model, tmp_path: Path) -> None:
    folder = image_folder(tmp_path / "val", 8)
    broken = folder / "n01443537" / "00001.JPEG"
    broken.write_bytes(broken.read_bytes()[:200])
    (folder / "n01443537" / "none.png").write_bytes(b"no picture")
    for workers in (0, 1):
        result = mobileone.evaluate(model, folder, workers=workers)
        assert [key for key, _ in result.unreadable] == [
            "n01443537/00001.JPEG",
            "n01443537/none.png",
        ]
        assert result.count == 15
        assert "2 pictures could not be read" in repr(result)
        with pytest.raises(ImageError, match=r"n01443537/00001\.JPEG"):
            mobileone.evaluate(model, folder, workers=workers, on_error="raise")


def test_class_indices_are_numbers_not_words(model: mobileone.Model, tmp_path: Path) -> None:
    for index in (0, 2, 10, 999):
        (tmp_path / str(index)).mkdir()
        image = Image.fromarray(pixels(RNG, 64, 64))
        image.save(tmp_path / str(index) / "x.png")
    found = rows(mobileone.evaluate(model, tmp_path))
    assert {row["key"]: row["label"] for row in found} == {
        f"{index}/x.png": index for index in (0, 2, 10, 999)
    }
    (tmp_path / "1000").mkdir()
    Image.fromarray(pixels(RNG, 64, 64)).save(tmp_path / "1000" / "x.png")
    with pytest.raises(ValueError, match="label 1000; expected class indices from 0 to 999"):
        mobileone.evaluate(model, tmp_path)


def test_names_are_the_networks_or_in_order(tmp_path: Path) -> None:
    for name in ("cat", "bird", "dog"):
        (tmp_path / name).mkdir()
        Image.fromarray(pixels(RNG, 64, 64)).save(tmp_path / name / "x.png")
    small = network(3)
    ordered = {row["key"]: row["label"] for row in rows(mobileone.evaluate(small, tmp_path))}
    assert ordered == {"bird/x.png": 0, "cat/x.png": 1, "dog/x.png": 2}
    small.class_names = ("dog", "cat", "bird")
    named = {row["key"]: row["label"] for row in rows(mobileone.evaluate(small, tmp_path))}
    assert named == {"bird/x.png": 2, "cat/x.png": 1, "dog/x.png": 0}
    with pytest.raises(ValueError, match="has 3 classes, such as 'bird'; expected 5 classes"):
        mobileone.evaluate(network(5), tmp_path)


LABEL_FILES = {
    "val.txt": "ILSVRC2012_val_00000001.JPEG 65\nILSVRC2012_val_00000002.JPEG 970\n",
    "labels.txt": "65\n970\n",
    "synsets.txt": "n01751748\nn09193705\n",
    "LOC_val_solution.csv": (
        "ImageId,PredictionString\nILSVRC2012_val_00000001,n01751748 1 2 3 4 n01751748 5 6 7 8 \n"
        "ILSVRC2012_val_00000002,n09193705 1 2 3 4 \n"
    ),
    "labels.json": '{"ILSVRC2012_val_00000001.JPEG": 65, "ILSVRC2012_val_00000002.JPEG": 970}',
    "real.json": "[[65, 70], [970], []]",
}


@pytest.mark.parametrize("name", LABEL_FILES)
def test_imagenet_validation_with_its_label_file(
    name: str, model: mobileone.Model, tmp_path: Path
) -> None:
    for number in (1, 2):
        image = Image.fromarray(pixels(RNG, 80, 64))
        image.save(tmp_path / f"ILSVRC2012_val_{number:08d}.JPEG")
    (tmp_path / name).write_text(LABEL_FILES[name])
    labels = tmp_path / name
    result = mobileone.evaluate(model, tmp_path, labels=labels)
    assert [row["label"] for row in rows(result)] == [65, 970]
    if name in ("val.txt", "LOC_val_solution.csv"):  # found by themselves
        same(result, mobileone.evaluate(model, tmp_path))


def test_label_files_that_do_not_fit(model: mobileone.Model, tmp_path: Path) -> None:
    Image.fromarray(pixels(RNG, 80, 64)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"pictures such as a\.png, whose labels nothing tells"):
        mobileone.evaluate(model, tmp_path)
    path = tmp_path / "ILSVRC2012_validation_ground_truth.txt"
    path.write_text("\n".join(str(i) for i in range(1, 1001)))
    with pytest.raises(ValueError, match="development kit, which are in another order"):
        mobileone.evaluate(model, tmp_path, labels=path)
    for text, message in (
        ("", "is empty"),
        ("a.png 1 2", "line 1 is 'a.png 1 2'"),
        ("b.png 1", r"none of its 1 pictures, such as a\.png"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            mobileone.evaluate(model, tmp_path, labels=path)
    two = {"a.png": 1, "c.png": 2}
    assert mobileone.evaluate(model, tmp_path, labels=two).count == 1
    Image.fromarray(pixels(RNG, 80, 64)).save(tmp_path / "b.png")
    result = mobileone.evaluate(model, tmp_path, labels=two)
    assert any("1 pictures have no label" in note for note in result.notes)


def test_arrays_and_iterables_are_as_preprocess_takes_them(model: mobileone.Model) -> None:
    images = np.stack([pixels(RNG, 70, 90) for _ in range(5)])
    labels = np.array([3, 1, 4, 1, 5])
    arrays = mobileone.evaluate(model, (images, labels))
    logits = model(model.preprocess(images))
    assert [row["prediction"] for row in rows(arrays)] == logits.argmax(1).tolist()
    floats = mobileone.evaluate(model, model.preprocess(images), labels=labels)
    same(arrays, floats)
    same(arrays, mobileone.evaluate(model, zip(images, labels, strict=True)))
    same(arrays, mobileone.evaluate(model, [(images[:2], labels[:2]), (images[2:], labels[2:])]))
    pictures = [(f"{i}", Image.fromarray(images[i]), int(labels[i])) for i in range(5)]
    same(arrays, mobileone.evaluate(model, pictures))
    for data, error, message in (
        ([], ValueError, "gave no pictures"),
        (5, TypeError, "data is a int"),
        ([5], TypeError, "data gave a int"),
        ((images, labels[:2]), ValueError, r"labels has shape \(2,\)"),
    ):
        with pytest.raises(error, match=message):
            mobileone.evaluate(model, data)


def test_logits_that_are_not_finite_are_wrong(folder: Path) -> None:
    def broken(images: np.ndarray) -> np.ndarray:
        logits = np.zeros((len(images), 1000), np.float32)
        logits[0] = np.nan
        logits[1:, 0] = 1
        return logits

    config = network().data_config
    result = mobileone.evaluate(broken, folder, data_config=config, batch_size=8)
    assert result.totals.not_finite == 6
    assert result.count == 48
    assert math.isfinite(result.nll.value)
    assert "logits of 6 pictures are not finite" in repr(result)
    first = rows(result)[0]
    assert (first["prediction"], first["rank"]) == (-1, 1000)


def test_a_network_needs_a_classifier_and_a_data_config(folder: Path) -> None:
    with pytest.raises(ValueError, match="has no classifier"):
        mobileone.evaluate(network(0), folder)
    with pytest.raises(ValueError, match="data_config is None"):
        mobileone.evaluate(lambda x: x, folder)
    with pytest.raises(ValueError, match="on_error is 'ignore'"):
        mobileone.evaluate(network(), folder, on_error="ignore")


def test_a_compiled_model_and_a_stored_plan_know_their_data_config(
    model: mobileone.Model, folder: Path, tmp_path: Path
) -> None:
    shape = (3, 3, *model.input_size)
    fused = mobileone.reparameterize(model)
    fused.save_plan(tmp_path / "a.plan", shape, threads=1)
    plan = mobileone.load_plan(tmp_path / "a.plan")
    expected = mobileone.evaluate(fused, folder, workers=0)
    for source in (fused.compile(shape, threads=1), plan):
        found = mobileone.evaluate(source, folder, workers=0)
        same(found, expected)
    assert found.name == plan.name


def test_results_are_gone_on_from(
    model: mobileone.Model, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobileone.data.datasets import picture_folder

    monkeypatch.setattr(picture_folder, "SHARD_SIZE", 10)
    whole = mobileone.evaluate(model, folder, results=tmp_path / "all")
    assert len(list((tmp_path / "all").glob("*.npz"))) == 5
    for name in ("000000010.npz", "000000030.npz"):
        (tmp_path / "all" / name).unlink()
    again = mobileone.evaluate(model, folder, results=tmp_path / "all")
    same(whole, again)
    assert any("28 pictures from before; 20 pictures in" in note for note in again.notes)
    with pytest.raises(ValueError, match="holds results of another evaluation: models is"):
        mobileone.evaluate(network(seed=2), folder, results=tmp_path / "all")
    (tmp_path / "all" / "000000010.npz").write_bytes(b"damaged")
    with pytest.raises(ValueError, match=r"000000010\.npz: expected the results of a shard"):
        mobileone.evaluate(model, folder, results=tmp_path / "all")
    with pytest.raises(ValueError, match="holds other files"):
        mobileone.evaluate(model, folder, results=folder)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_interrupted_evaluation_tells_what_it_has(
    workers: int, model: mobileone.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobileone.data.datasets import picture_folder

    monkeypatch.setattr(picture_folder, "SHARD_SIZE", 8)
    calls = []

    def interrupted(images: np.ndarray) -> np.ndarray:
        calls.append(len(images))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return model(images)

    config = model.data_config
    how: dict[str, Any] = {"batch_size": 8, "workers": workers, "data_config": config}
    result = mobileone.evaluate(interrupted, folder, **how)
    assert result.interrupted
    assert result.count == 24
    assert "interrupted: the figures are of the pictures done by then" in repr(result)
    calls[:] = [0, 0, 0]  # before anything is done there is nothing to tell
    with pytest.raises(KeyboardInterrupt):
        mobileone.evaluate(interrupted, folder, **how)


def test_a_worker_that_dies_is_replaced(
    model: mobileone.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = mobileone.evaluate(model, folder, workers=0, batch_size=8)
    call = decoders.Decoder.__call__
    killed = []

    def killing(self: decoders.Decoder, slot: int, sources: Any) -> Any:
        if len(killed) < 2:
            killed.append(self.pid)
            os.kill(self.pid, signal.SIGKILL)
        return call(self, slot, sources)

    monkeypatch.setattr(decoders.Decoder, "__call__", killing)
    same(expected, mobileone.evaluate(model, folder, workers=2, batch_size=8))
    assert len(killed) == 2


def test_no_process_is_left_and_an_error_ends_it(
    model: mobileone.Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    start = decoders.Decoder._start

    def counting(self: decoders.Decoder) -> None:
        start(self)
        started.append(self._process)

    monkeypatch.setattr(decoders.Decoder, "_start", counting)

    def failing(images: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("as asked")

    with pytest.raises(ZeroDivisionError, match="as asked"):
        mobileone.evaluate(failing, folder, workers=2, data_config=model.data_config)
    mobileone.evaluate(model, folder, workers=2)
    assert len(started) >= 3
    assert all(process.poll() is not None for process in started)

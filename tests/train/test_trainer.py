"""Training end to end on small networks: what is learned, from which data, and what is refused."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.train.curriculum import Curriculum
from mobileone.train.trainer import Trainer
from PIL import Image

from .nets import CLASSES, assert_same, quick, small_model, stripes, weights

IMAGES, LABELS = stripes()
DATA = (IMAGES, LABELS)
PLAIN = Augmentation(crop_scale=None, flip=0.5)


def floats(images: np.ndarray) -> np.ndarray:
    return ((images.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)


def test_it_learns() -> None:
    model = small_model()
    before = weights(model)
    recipe = quick(epochs=20, augmentation=PLAIN)
    history = Trainer(model, recipe).fit((IMAGES, LABELS), validation=stripes(30, seed=9))
    assert [e.epoch for e in history.epochs] == list(range(1, 21))
    assert [e.updates for e in history.epochs][-1] == 20 * 3
    assert history.epochs[-1].loss < history.epochs[0].loss
    # Chance is 1/3; 30 images by chance right in 24 cases has a probability below 1e-6.
    assert history.epochs[-1].validation_accuracy is not None
    assert history.epochs[-1].validation_accuracy >= 0.8
    after = weights(model)
    moved = [name for name in before if not np.array_equal(before[name], after[name])]
    assert moved == list(before), "every parameter, statistic and count"
    fused = mobileone.reparameterize(model)
    assert mobileone.verify(model, fused)


def test_the_seed_decides_and_the_number_of_threads_does_not() -> None:
    def trained(seed: int, threads: int) -> dict[str, np.ndarray]:
        model = small_model()
        Trainer(model, quick(epochs=2, seed=seed), threads=threads).fit((IMAGES, LABELS))
        return weights(model)

    first = trained(4, 1)
    assert_same(first, trained(4, 2))
    other = trained(5, 1)
    assert any(not np.array_equal(first[name], other[name]) for name in first)


def test_the_model_has_the_averaged_weights_and_latest_the_others() -> None:
    model = small_model()
    trainer = Trainer(model, quick(epochs=1))
    trainer.fit((IMAGES, LABELS))
    latest = weights(trainer.latest)
    name = "stage1.0.rbr_conv.0.bn.weight"
    assert not np.array_equal(weights(model)[name], latest[name])
    plain = small_model()
    Trainer(plain, quick(epochs=1, ema_decay=None)).fit((IMAGES, LABELS))
    assert_same(weights(plain), latest)


def test_updates_are_those_of_pytorch() -> None:
    """The whole update, against the same network, loss, optimizer, clipping and averaging there."""
    from .torch_source import torch_module

    model = small_model()
    x, recipe = floats(IMAGES), quick(epochs=1, batch_size=12, augmentation=None)
    module = torch_module(model.bundle)
    decayed = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD([{"params": decayed}, {"params": others}], 1.0, momentum=0.9)
    trainer = Trainer(model, recipe)
    seen: list[tuple[np.ndarray, np.ndarray]] = []

    def batches(epoch: int, size: tuple[int, int], strength: float) -> Iterator[Any]:
        assert (epoch, size, strength) == (0, (32, 32), 1.0)
        for start in range(0, 48, 12):
            seen.append((x[start : start + 12], LABELS[start : start + 12]))
            yield seen[-1]

    trainer.fit(batches)
    from mobileone.train.schedules import learning_rate, weight_decay

    for images, labels in seen:
        # The data do not say how many batches there are: rates are those of the epoch's start.
        optimizer.param_groups[0]["weight_decay"] = weight_decay(recipe, 0)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, 0)
        logits = module(torch.from_numpy(images).double())
        loss = torch.nn.functional.cross_entropy(
            logits, torch.from_numpy(labels), label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), recipe.clip_norm or 0.0)
        optimizer.step()
    for name, expected in module.state_dict().items():
        found = weights(trainer.latest)[name]
        scale = float(expected.double().abs().max()) or 1.0
        assert np.abs(found - expected.numpy()).max() <= 2e-5 * scale, name


def test_frozen_parameters_stay_and_count_for_nothing() -> None:
    model = small_model()
    before = weights(model)
    Trainer(model, quick(epochs=1, frozen=("stage*", "linear.bias"))).fit(DATA)
    after = weights(model)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    parameters = {name for name in moved if "running" not in name and "num_batches" not in name}
    assert parameters == {"linear.weight"}
    with pytest.raises(ValueError, match=r"frozen has 'head\*', which is no parameter"):
        Trainer(model, quick(frozen=("head*",)))


def test_accumulated_batches_are_one_update() -> None:
    model = small_model()
    recipe = quick(epochs=1, batch_size=8, accumulation=3, augmentation=None)
    history = Trainer(model, recipe).fit((IMAGES, LABELS))
    assert history.epochs[0].updates == 2
    counts = [int(v) for k, v in weights(model).items() if k.endswith("num_batches_tracked")]
    assert set(counts) == {6}


def test_the_curriculum_sets_the_images_size() -> None:
    recipe = quick(epochs=3, curriculum=Curriculum([(0, 32, 0.3), (1, (48, 40), 0.6)], 3))
    history = Trainer(small_model(), recipe).fit((IMAGES, LABELS))
    assert [e.size for e in history.epochs] == [(32, 32), (48, 40), (48, 40)]
    assert [e.strength for e in history.epochs] == [0.3, 0.6, 0.6]


def test_all_kinds_of_data_are_taken(tmp_path: Path) -> None:
    for name, label in zip("abc", range(3), strict=True):
        (tmp_path / name).mkdir()
        for i in np.flatnonzero(label == LABELS):
            Image.fromarray(IMAGES[i]).save(tmp_path / name / f"{i:02}.png")
    dataset = torch.utils.data.TensorDataset(
        torch.from_numpy(floats(IMAGES)), torch.from_numpy(LABELS)
    )
    soft = np.eye(CLASSES)[LABELS]
    kinds = {
        "pixels, channels first": (IMAGES.transpose(0, 3, 1, 2), LABELS),
        "network input": (floats(IMAGES), LABELS),
        "probabilities": (IMAGES, soft),
        "folder": tmp_path,
        "torch": torch.utils.data.DataLoader(dataset, batch_size=16),
        "pixels in batches": [(IMAGES[i : i + 16], LABELS[i : i + 16]) for i in (0, 16, 32)],
    }
    for name, data in kinds.items():
        model = small_model()
        history = Trainer(model, quick(epochs=1)).fit(data, validation=data)
        assert history.epochs[0].images == 48, name
        assert history.epochs[0].updates == 3, name
        assert history.epochs[0].validation_loss is not None, name
        assert model.class_names == (("a", "b", "c") if name == "folder" else None), name


def test_batches_of_several_sizes() -> None:
    class Pixels(torch.utils.data.Dataset):  # type: ignore[type-arg]
        def __getitem__(self, where: tuple[int, int, int]) -> Any:
            height, width, index = where
            image = Image.fromarray(IMAGES[index]).resize((width, height))
            return np.array(image).transpose(2, 0, 1), LABELS[index]

    sampler = mobileone.MultiScaleSampler(48, 12, sizes=(32, 48), seed=1)
    loader = torch.utils.data.DataLoader(Pixels(), batch_sampler=sampler)
    history = Trainer(small_model(), quick(epochs=2)).fit(loader)
    assert [e.images for e in history.epochs] == [48, 48]
    assert sampler.epoch == 1


def test_a_student_learns_its_teachers_answers_and_no_labels() -> None:
    teacher = small_model()
    Trainer(teacher, quick(epochs=40, augmentation=PLAIN)).fit((IMAGES, LABELS))
    student, wrong = small_model(seed=2), np.zeros_like(LABELS)
    recipe = quick(epochs=40, augmentation=PLAIN)
    history = Trainer(student, recipe, teachers=[teacher]).fit((IMAGES, wrong))
    assert history.epochs[-1].loss < history.epochs[0].loss
    assert history.epochs[-1].loss > 0, "a divergence"
    x = floats(stripes(30, seed=9)[0])
    agreed = (student(x).argmax(1) == teacher(x).argmax(1)).mean()
    assert agreed >= 0.8


def test_networks_that_stop_being_finite_are_said_to_and_where() -> None:
    x = floats(IMAGES)
    x[5, 0, 3, 3] = np.inf
    with pytest.raises(FloatingPointError, match=r"update 1, epoch 1: the loss is nan; .* image 5"):
        Trainer(small_model(), quick(batch_size=48, augmentation=None)).fit([(x, LABELS)])
    model = small_model()
    broken = weights(model)
    broken["stage2.1.rbr_conv.1.bn.weight"][3] = np.nan
    model.network = mobileone._core.Network(model.graph, broken)
    with pytest.raises(
        FloatingPointError, match=r"is the weights stage2\.1\.rbr_conv\.1\.bn\.weight"
    ):
        Trainer(model, quick()).fit((IMAGES, LABELS))
    huge = small_model()
    large = weights(huge)
    for name in large:
        if name.startswith("stage1.1") and name.endswith("bn.weight"):
            large[name][...] = 3e38
    huge.network = mobileone._core.Network(huge.graph, large)
    with pytest.raises(FloatingPointError, match=r"the output of stage[12]\.[01]"):
        Trainer(huge, quick()).fit((IMAGES, LABELS))
    # Finite maps, whose squares are not.
    with pytest.raises(
        FloatingPointError, match=r"stage0\.rbr_\S+: the batch's variance in channel"
    ):
        Trainer(small_model(), quick(augmentation=None)).fit([(floats(IMAGES) * 1e19, LABELS)])


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ((IMAGES, LABELS + 1), ValueError, "labels has 3; expected class indices below 3"),
        ((IMAGES, np.eye(4)[LABELS]), ValueError, r"expected probabilities of 3 classes"),
        ([(IMAGES, LABELS, LABELS)], ValueError, "data gave a batch of 3 parts"),
        ([], ValueError, "data gave no batches in epoch 1"),
        (iter([(IMAGES, LABELS)]), TypeError, "data is an iterator"),
        (7, TypeError, "data is a int; expected"),
        (lambda *_: None, TypeError, "data gave a NoneType of an epoch; expected batches"),
        ("no/such/folder", FileNotFoundError, "no/such/folder"),
    ],
)
def test_data_that_do_not_fit_are_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Trainer(small_model(), quick()).fit(data)


def test_arguments_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="model is in inference form"):
        Trainer(mobileone.reparameterize(small_model()))
    with pytest.raises(ValueError, match="resume is True; expected a checkpoint"):
        Trainer(small_model(), resume=True)
    with pytest.raises(ValueError, match="checkpoint_updates is 0"):
        Trainer(small_model(), checkpoint="x", checkpoint_updates=0)
    with pytest.raises(ValueError, match="path is None"):
        Trainer(small_model()).save()
    with pytest.raises(TypeError, match="model is a NoneType; expected a mobileone"):
        Trainer(None)
    with pytest.raises(TypeError, match="recipe is a dict"):
        Trainer(small_model(), {"epochs": 3})  # type: ignore[arg-type]
    with pytest.raises(FileNotFoundError, match="nowhere"):
        Trainer(small_model(), checkpoint="nowhere/c.safetensors")
    with pytest.raises(ValueError, match="validation has labels of shape"):
        Trainer(small_model(), quick(epochs=1)).fit(DATA, (floats(IMAGES), np.eye(4)[LABELS]))


@pytest.mark.parametrize("classes", [0, 1])
def test_what_has_nothing_to_learn_is_refused(classes: int) -> None:
    """The loss of a single class is 0, whatever the weights."""
    model = mobileone.create_model("custom", widths=[8, 12], depths=[1, 1], num_classes=classes)
    with pytest.raises(ValueError, match=f"model has {classes} classes"):
        Trainer(model, quick())


def test_pictures_are_for_networks_that_read_them(tmp_path: Path) -> None:
    pixels = np.zeros((4, 32, 32, 4), np.uint8)
    for name in "ab":
        (tmp_path / name).mkdir()
        Image.fromarray(pixels[0]).save(tmp_path / name / "0.png")
    for data in ((pixels, LABELS[:4]), (IMAGES, LABELS), tmp_path):
        model = small_model(in_channels=4, num_classes=2)
        model.data_config = mobileone.create_model("mobileone_mu0", in_channels=4).data_config
        with pytest.raises(ValueError, match=r"data are pictures, .*; the model reads 4"):
            Trainer(model, quick()).fit(data)


def test_classes_keep_the_names_that_they_have(tmp_path: Path) -> None:
    """Folders in another order are learned by their names; other names are taken, and said."""
    for name, images in (("across", IMAGES[LABELS == 1]), ("along", IMAGES[LABELS == 2])):
        (tmp_path / name).mkdir()
        for i, pixels in enumerate(images):
            Image.fromarray(pixels).save(tmp_path / name / f"{i:02}.png")
    recipe = quick(epochs=1, augmentation=None)
    sorted_, turned = small_model(num_classes=2), small_model(num_classes=2)
    turned.class_names = ("along", "across")
    seen = weights(turned)
    seen |= {name: array[::-1].copy() for name, array in seen.items() if name[:6] == "linear"}
    turned.network = mobileone._core.Network(turned.graph, seen)
    Trainer(sorted_, recipe).fit(tmp_path)
    history = Trainer(turned, recipe).fit(tmp_path, validation=tmp_path)
    assert sorted_.class_names == ("across", "along")
    assert turned.class_names == ("along", "across")
    x = floats(IMAGES)
    # The same function but for the order of logits; sums of gradients may be in another order.
    np.testing.assert_allclose(turned(x), sorted_(x)[:, ::-1], rtol=1e-4, atol=1e-4)
    right = mobileone.evaluate(turned, tmp_path).top1.value
    assert history.epochs[-1].validation_accuracy == right
    other = small_model(num_classes=2)
    other.class_names = ("cat", "dog")
    with pytest.warns(UserWarning, match="were cat; dog; from now on .* across; along"):
        Trainer(other, recipe).fit(tmp_path)
    assert other.class_names == ("across", "along")


def test_progress_goes_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    Trainer(small_model(), quick(epochs=2), progress=True).fit((IMAGES, LABELS), (IMAGES, LABELS))
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split()[:2] for line in err.splitlines()] == [["epoch", "1/2"], ["epoch", "2/2"]]
    Trainer(small_model(), quick(epochs=1)).fit((IMAGES, LABELS))
    assert capsys.readouterr() == ("", "")


def test_it_trains_in_any_thread() -> None:
    """Signals go to the main thread alone: handlers stay as they are."""
    model, alone = small_model(), small_model()
    Trainer(alone, quick(epochs=1)).fit(DATA)
    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=lambda: Trainer(model, quick(epochs=1)).fit(DATA))
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGINT) is before
    assert_same(weights(model), weights(alone))

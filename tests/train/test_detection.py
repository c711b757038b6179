"""Detectors that learn: gradients against PyTorch, data of every kind, boxes that follow."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from gradient_cases import FLOAT32_BOUND, assert_gradient
from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.data.config import DataConfig
from mobileone.data.datasets.object_loader import ObjectLoader
from mobileone.data.datasets.objects import Objects, PicturesWithObjects, as_objects
from mobileone.tasks.detection.codes import anchors_of
from mobileone.train.detection import DetectorStep
from mobileone.train.recipe import Recipe
from mobileone.train.trainer import Trainer
from multibox import rows_of, slow_loss, slow_match
from numpy.typing import NDArray
from PIL import Image
from torch_heads import SsdLite, randomize
from torch_mobileone import Config, MobileOne

from .nets import assert_same, weights

CLASSES = 3
DATA = DataConfig(input_size=(64, 64), crop_pct=1.0, mean=(0.5,) * 3, std=(0.5,) * 3)


def small_detector(seed: int = 0) -> mobileone.Model:
    config: dict[str, Any] = {
        "stem_width": 8, "depths": [1, 1, 1, 1], "num_conv_branches": 1,
        "widths": [8, 16, 24, 32],
    }  # fmt: skip
    heads = {"head_widths": [32, 32, 32, 16, 16, 16]}
    model = mobileone.create_detector("custom", num_classes=CLASSES, seed=seed, **config, **heads)
    model.data_config = DATA
    return model


def squares(count: int = 24, seed: int = 0) -> tuple[NDArray, list[Objects]]:
    """Noise with a light (1) or a dark (2) square, or with both."""
    rng = np.random.default_rng(seed)
    images = rng.integers(90, 140, (count, 64, 64, 3)).astype(np.uint8)
    objects = []
    for number, image in enumerate(images):
        boxes, labels = [], []
        for label in ([1], [2], [1, 2])[number % 3]:
            side = int(rng.integers(14, 28))
            left, top = rng.integers(0, 64 - side, 2)
            image[top : top + side, left : left + side] = 230 if label == 1 else 10
            boxes.append([left, top, left + side, top + side])
            labels.append(label)
        objects.append(as_objects((np.array(boxes), np.array(labels))))
    return images, objects


IMAGES, OBJECTS = squares()


def quick(**changes: Any) -> Recipe:
    own: dict[str, Any] = {
        "epochs": 2, "batch_size": 8, "optimizer": "adamw", "learning_rate": 0.003,
        "label_smoothing": 0.0, "ema_decay": None, "augmentation": Augmentation(crop_scale=None),
    }  # fmt: skip
    return Recipe(**{**own, **changes})


def autograd(
    module: SsdLite, x: NDArray
) -> tuple[float, dict[str, NDArray], list[torch.Tensor | None]]:
    """The loss of the first pictures' objects, twice as large; its gradients, and those of maps."""
    maps = module.outputs(torch.from_numpy(x).double())
    anchors = anchors_of(tuple((m.shape[2], m.shape[3]) for m in maps))
    matched = [slow_match(o.boxes / 64, o.labels, anchors) for o in OBJECTS[: len(x)]]
    labels = torch.from_numpy(np.stack([m[0] for m in matched]))
    offsets = torch.from_numpy(np.stack([m[1] for m in matched]))
    loss = slow_loss(rows_of(maps, CLASSES), labels, offsets, 0.1)
    of_maps = torch.autograd.grad(loss, maps, retain_graph=True, allow_unused=True)
    return loss.item(), gradients_by(module, maps, of_maps), list(of_maps)


def gradients_by(module: SsdLite, maps: Any, of_maps: Any) -> dict[str, NDArray]:
    """Those of the parameters, of what the loss says of the maps."""
    module.zero_grad()
    used = [(m, g) for m, g in zip(maps, of_maps, strict=True) if g is not None]
    torch.autograd.backward([m for m, _ in used], [g for _, g in used])
    return {n: p.grad.numpy() for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("seed", range(2))
def test_gradients_are_pytorchs(seed: int) -> None:
    torch.manual_seed(seed)
    encoder = MobileOne(Config(8, (8, 12, 16, 24), (1, 1, 1, 1), 1, {}, 2))
    module = randomize(SsdLite(encoder, CLASSES), 3, 64).train()
    model = mobileone.load(module.state())
    x = np.random.default_rng(0).normal(0, 1, (6, 3, 128, 128)).astype(np.float32)
    objects = [Objects(2 * o.boxes, o.labels) for o in OBJECTS[:6]]
    step = DetectorStep(model.bundle, 2)
    loss, gradients = step.loss_and_gradients(x, objects, label_smoothing=0.1)
    expected, wanted, of_maps = autograd(copy.deepcopy(module), x)
    assert abs(loss - expected) <= FLOAT32_BOUND * expected
    # By the same maps' gradients: of its own results the loss would choose other hard negatives.
    fixed = _with_constant_statistics(module, x)
    terms = gradients_by(fixed, fixed.outputs(torch.from_numpy(x).double()), of_maps)
    assert set(gradients) == set(wanted)
    for name, grad in wanted.items():
        assert_gradient(gradients[name], grad, terms[name], FLOAT32_BOUND, name)


def _with_constant_statistics(module: SsdLite, x: NDArray) -> SsdLite:
    """Batch norms hold the statistics of `x` as constants; see `gradient_cases`."""
    fixed = copy.deepcopy(module)
    for part in fixed.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        fixed.outputs(torch.from_numpy(x).double())
    return fixed.eval()


def test_it_learns_to_find_squares() -> None:
    model = small_detector()
    history = Trainer(model, quick(epochs=60, learning_rate=0.005)).fit(
        (IMAGES, OBJECTS), validation=squares(12, 9)
    )
    first, last = history.epochs[0], history.epochs[-1]
    assert last.loss < 0.25 * first.loss
    assert last.validation_loss is not None
    assert last.validation_loss < (first.validation_loss or 0.0)
    assert last.validation_accuracy is None
    fused = mobileone.reparameterize(model)
    assert mobileone.verify(model, fused)
    found = total = 0
    for image, expected in zip(IMAGES, OBJECTS, strict=True):
        results = fused.detect(image, score=0.3)
        for label, box in zip(expected.labels, expected.boxes, strict=True):
            own = [one for one in results if one.name == f"class {label}"]
            found += any(_iou(one.box, box) >= 0.5 for one in own)
            total += 1
    # A box by chance overlaps one by half with a probability of some percents.
    assert found >= 0.8 * total


def _iou(a: Any, b: Any) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(one[2] - one[0]) * (one[3] - one[1]) for one in (a, b)]
    return float(width * height / (sum(areas) - width * height))


def test_threads_and_breaks_change_no_bit(tmp_path: Path) -> None:
    def trained(threads: int, checkpoint: Path | None = None) -> dict[str, NDArray]:
        model = small_detector()
        Trainer(model, quick(), threads=threads, checkpoint=checkpoint).fit((IMAGES, OBJECTS))
        return weights(model)

    whole = trained(1)
    assert_same(whole, trained(2))
    path = tmp_path / "state.safetensors"
    model = small_detector()
    trainer = Trainer(model, quick(), checkpoint=path)
    trainer.fit(_Interrupting(PicturesWithObjects(IMAGES, OBJECTS), 12))
    assert trainer.history.interrupted
    again = Trainer(small_detector(), quick(), checkpoint=path, resume=True)
    again.fit((IMAGES, OBJECTS))
    assert_same(whole, weights(again.model))


class _Interrupting:
    """Ctrl-C while some picture is opened."""

    def __init__(self, samples: PicturesWithObjects, at: int) -> None:
        self._samples, self._left = samples, at
        self.class_names = None

    def __len__(self) -> int:
        return len(self._samples)

    def image(self, index: int) -> Any:
        import signal

        self._left -= 1
        if self._left == 0:
            signal.raise_signal(signal.SIGINT)
        return self._samples.image(index)

    def objects(self, index: int) -> Objects:
        return self._samples.objects(index)


def test_frozen_backbones_stay() -> None:
    model = small_detector()
    before = weights(model)
    Trainer(model, quick(epochs=1, frozen=("encoder.*",))).fit((IMAGES, OBJECTS))
    moved = {n for n, w in weights(model).items() if not np.array_equal(w, before[n])}
    parameters = {n for n in moved if "running" not in n and "num_batches" not in n}
    assert parameters
    assert not [n for n in parameters if n.startswith("encoder.")]


def coco_files(folder: Path) -> tuple[Path, Path]:
    """The squares as COCO has them: ids that are no indices, a crowd, a box without an area."""
    pictures = folder / "pictures"
    pictures.mkdir()
    truth: dict[str, Any] = {
        "images": [], "annotations": [],
        "categories": [{"id": 7, "name": "dark"}, {"id": 3, "name": "light"}],
    }  # fmt: skip
    for i, (pixels, objects) in enumerate(zip(IMAGES, OBJECTS, strict=True)):
        Image.fromarray(pixels).save(pictures / f"{i}.png")
        truth["images"].append({"id": 100 + i, "file_name": f"{i}.png", "width": 64, "height": 64})
        for box, label in zip(objects.boxes.tolist(), objects.labels, strict=True):
            sides = [box[0], box[1], box[2] - box[0], box[3] - box[1]]
            truth["annotations"].append(
                {"image_id": 100 + i, "category_id": (3, 7)[label - 1], "bbox": sides}
            )
    odd = {"image_id": 100, "category_id": 3}
    truth["annotations"] += [
        {**odd, "bbox": [0, 0, 60, 60], "iscrowd": 1}, {**odd, "bbox": [5, 5, 0, 9]},
    ]  # fmt: skip
    path = folder / "instances.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    return path, pictures


def test_all_kinds_of_data_are_taken(tmp_path: Path) -> None:
    x = ((IMAGES.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)
    named = [
        {"boxes": torch.from_numpy(o.boxes), "labels": torch.from_numpy(o.labels)} for o in OBJECTS
    ]
    kinds: dict[str, Any] = {
        "pixels": (IMAGES, OBJECTS),
        "pictures": ([Image.fromarray(image) for image in IMAGES], OBJECTS),
        "coco": coco_files(tmp_path),
        "batches": [(x[i : i + 8], named[i : i + 8]) for i in (0, 8, 16)],
        "pixels in batches": [(IMAGES[i : i + 8], OBJECTS[i : i + 8]) for i in (0, 8, 16)],
    }
    recipe = quick(epochs=1, augmentation=None, batch_size=8)
    for name, data in kinds.items():
        model = small_detector()
        history = Trainer(model, recipe).fit(data, validation=data)
        assert (history.epochs[0].images, history.epochs[0].updates) == (24, 3), name
        assert history.epochs[0].validation_loss is not None, name
        names = ("background", "light", "dark") if name == "coco" else None
        assert model.class_names == names, name


def test_boxes_follow_crops_and_flips() -> None:
    """Where the light square is after them is where its box says."""
    samples = PicturesWithObjects(IMAGES, OBJECTS)
    augmentation = Augmentation(crop_scale=(0.4, 1.0), flip=0.5)
    loader = ObjectLoader(samples, DATA, 8, augmentation, seed=3, training=True)
    checked, mirrored = 0, []
    for x, objects in loader.batches(0, (96, 80)):
        assert x.shape[1:] == (3, 96, 80)
        for pixels, one in zip(x, objects, strict=True):
            light = pixels[0] > 0.6
            for box, label in zip(one.boxes, one.labels, strict=True):
                if label != 1:
                    continue
                ys, xs = np.nonzero(light)
                seen = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
                # Antialiased edges move a threshold by less than two pixels; a dark square may
                # lie over a side of the light one.
                checked += bool(np.abs(np.array(seen) - box).max() <= 2)
                mirrored.append(box[0])
            assert (one.boxes[:, 2:] > one.boxes[:, :2]).all()
            assert one.boxes.min(initial=0) >= 0
    assert len(mirrored) >= 10
    assert checked >= 0.8 * len(mirrored)
    with pytest.raises(ValueError, match="augmentation has degrees 5"):
        ObjectLoader(samples, DATA, 8, Augmentation(degrees=5.0))


def test_what_cannot_be_learned_is_named() -> None:
    box = np.array([[1.0, 2, 3, 4]])
    wrong = {
        "objects are of 2 images; expected a list, of 3": [(IMAGES[:3], OBJECTS[:2])],
        r"objects of image 0 have label 3; expected numbers below 3": [
            (IMAGES[:2], [(box, np.array([3]))] * 2)
        ],
        r"objects of image 0 has labels 0; expected": [(IMAGES[:2], [(box, np.array([0]))] * 2)],
        r"objects of image 0 has the box \[3.0, 2.0, 1.0, 4.0\]": [
            (IMAGES[:2], [(box[:, [2, 1, 0, 3]], np.array([1]))] * 2)
        ],
        r"image 1 have the box \[64\.0, 2\.0, .* outside of it; expected pixels of the 64 x 64": [
            (IMAGES[:2], [(box, [1]), (box + np.array([63, 0, 63, 0]), [1])])
        ],
        r"objects of image 0 has no 'labels'": [(IMAGES[:2], [{"boxes": box}] * 2)],
        "there are 24 images and objects of 3": (IMAGES, OBJECTS[:3]),
    }
    for message, data in wrong.items():
        with pytest.raises(ValueError, match=message):
            Trainer(small_detector(), quick(epochs=1)).fit(data)
    with pytest.warns(UserWarning, match="all boxes are within 0 to 1, as shares"):
        Trainer(small_detector(), quick(epochs=1)).fit([(IMAGES[:2], [(box / 4, [1])] * 2)])
    with pytest.raises(ValueError, match="teachers are given; expected none"):
        Trainer(small_detector(), quick(), teachers=[small_detector()])
    with pytest.raises(ValueError, match=r"Trainer: .* is for segmentation"):
        Trainer(mobileone.create_segmenter("mobileone_s0"), quick())
    x = ((IMAGES.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.5).astype(np.float32)
    x[1, 0, 3, 3] = np.nan
    with pytest.raises(FloatingPointError, match="image 1 of the batch"):
        Trainer(small_detector(), quick()).fit([(x[:8], OBJECTS[:8])])

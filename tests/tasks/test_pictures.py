"""`Model.segment` and `Model.detect` on pictures, against their parts done slowly."""

from __future__ import annotations

from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from mobileone.data.whole import kept_size
from mobileone.tasks.colours import palette
from mobileone.tasks.detection.boxes import boxes_of_maps
from mobileone.tasks.detection.labels import COCO_IDS, object_class_names
from mobileone.tasks.detection.rule import DetectionRule
from mobileone.tasks.segmentation.labels import pixel_class_names, pixel_palette
from PIL import Image

SEGMENTER = {"num_classes": 4, "aspp_width": 8, "seed": 1}


@pytest.fixture(scope="module")
def segmenter() -> mobileone.Model:
    return mobileone.reparameterize(mobileone.create_segmenter("mobilevit_xxs", **SEGMENTER))


@pytest.fixture(scope="module")
def detector() -> mobileone.Model:
    model = mobileone.create_detector("mobileone_mu0", num_classes=5, seed=1)
    model.input_size = (64, 64)
    return mobileone.reparameterize(model)


def photo(height: int = 60, width: int = 100) -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(noise)


def test_a_class_map_has_the_pictures_size(segmenter: mobileone.Model, tmp_path: Path) -> None:
    picture = photo()
    picture.save(tmp_path / "a.png")
    found = segmenter.segment(tmp_path / "a.png", size=64)
    assert found.labels.shape == (60, 100)
    assert kept_size(60, 100, 64) == (64, 96)
    # The network's input by hand: bilinear, BGR, 0..1.
    resized = np.asarray(picture.resize((96, 64), Image.Resampling.BILINEAR))
    x = resized[..., ::-1].transpose(2, 0, 1)[None].astype(np.float32) / np.float32(255)
    whole = torch.nn.functional.interpolate(
        torch.from_numpy(segmenter(x)).double(), (60, 100), mode="bilinear", align_corners=False
    )
    assert (found.labels == whole[0].numpy().argmax(0)).mean() > 0.999
    assert sum(found.shares().values()) == pytest.approx(1)
    assert set(found.shares()) <= {f"class {i}" for i in range(4)}
    assert found.drawn().shape == (60, 100, 3)
    assert "<img src" in found._repr_html_()
    assert "60 x 100 pixels" in repr(found)
    found.plot()


def test_lists_and_batches_give_lists(segmenter: mobileone.Model) -> None:
    picture = photo(48, 40)
    one = segmenter.segment(picture, size=(64, 32))
    both = segmenter.segment([picture, np.asarray(photo(30, 64))], size=(64, 32))
    assert [result.labels.shape for result in both] == [(48, 40), (30, 64)]
    np.testing.assert_array_equal(both[0].labels, one.labels)
    batch = np.stack([np.asarray(picture)] * 2)
    np.testing.assert_array_equal(segmenter.segment(batch, size=(64, 32))[1].labels, one.labels)


def test_pictures_are_turned_upright(detector: mobileone.Model, tmp_path: Path) -> None:
    picture, exif = photo(), Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    picture.save(tmp_path / "turned.png", exif=exif)
    picture.transpose(Image.Transpose.ROTATE_270).save(tmp_path / "upright.png")
    turned, upright = (detector.detect(tmp_path / f"{name}.png") for name in ("turned", "upright"))
    assert turned.pixels.shape == (100, 60, 3)
    np.testing.assert_array_equal(turned.boxes, upright.boxes)


def test_boxes_are_in_the_pictures_pixels(detector: mobileone.Model) -> None:
    picture = photo(90, 50)
    found = detector.detect(picture, score=0.05, overlap=0.4, most=30)
    x = detector.preprocess(picture.resize((64, 64), Image.Resampling.BICUBIC))
    rule = DetectionRule(0.05, 0.4, 400, 30)
    (expected,) = boxes_of_maps(detector(x), 5, [(90, 50)], rule)
    np.testing.assert_array_equal(found.boxes, expected.boxes)
    np.testing.assert_array_equal(found.labels, expected.labels)
    assert len(found) == len(list(found)) <= 30
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [50, 90, 50, 90]).all()
    assert (np.diff(found.scores) <= 0).all()
    assert next(iter(found)).name == f"class {found.labels[0]}"
    assert found.drawn().shape == (90, 50, 3)
    assert "<img src" in found._repr_html_()
    found.plot()
    several = detector.detect([picture] * 3, score=0.05, overlap=0.4, most=30)
    np.testing.assert_array_equal(several[2].boxes, found.boxes)


def test_names_and_colours() -> None:
    assert object_class_names(81, None)[1] == "person"
    assert object_class_names(81, None)[80] == "toothbrush"
    assert len(COCO_IDS) == 80
    assert COCO_IDS[-1] == 90
    # Of VOC's development kit.
    assert palette(21)[:4] == [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    assert palette(21)[20] == (0, 64, 128)
    assert (
        mobileone.create_segmenter("mobileone_mu0").segment(photo(32, 32), 32).class_names[15]
        == "person"
    )
    # Of ADE20k's scene parsing benchmark: the names and colours of its first and last classes.
    names = pixel_class_names(150, None)
    assert (len(set(names)), names[0], names[12], names[149]) == (150, "wall", "person", "flag")
    colours = pixel_palette(names)
    assert (colours[0], colours[2], colours[149]) == ((120, 120, 120), (6, 230, 230), (92, 0, 255))
    assert pixel_palette(("a", "b")) == palette(2)


def test_what_a_model_is_not_for_is_said(
    segmenter: mobileone.Model, detector: mobileone.Model
) -> None:
    with pytest.raises(ValueError, match="is for segmentation; see create_detector"):
        segmenter.detect(photo())
    with pytest.raises(ValueError, match=r"loss_and_gradients: .* expected a classifier"):
        segmenter.loss_and_gradients(np.zeros((1, 3, 32, 32), np.float32), [0])
    with pytest.raises(ValueError, match="is for detection; see create_segmenter"):
        detector.segment(photo())
    with pytest.raises(ValueError, match=r"is for segmentation; see Model\.segment"):
        segmenter.predict(photo())
    with pytest.raises(ValueError, match="size is 8; expected an integer of at least 32"):
        segmenter.segment(photo(), size=8)
    with pytest.raises(TypeError, match="image has dtype float32; expected a picture"):
        detector.detect(np.zeros((3, 64, 64), np.float32))

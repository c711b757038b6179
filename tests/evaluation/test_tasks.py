"""Detectors and segmenters on small real files of COCO, VOC and ADE20k, against other programs."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from mobileone.cli import main
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

CONFIG: dict[str, Any] = {
    "stem_width": 8, "widths": [8, 16, 24, 32], "depths": [1, 1, 1, 1], "num_conv_branches": 1,
}  # fmt: skip
SIZES = ((70, 96), (64, 64), (131, 50))  # height, width


def detector(classes: int = 4) -> mobileone.Model:
    widths = {"head_widths": [32, 32, 32, 16, 16, 16]}
    model = mobileone.create_detector("custom", num_classes=classes, seed=3, **CONFIG, **widths)
    model.input_size = (96, 96)
    return model


def segmenter(classes: int = 21) -> mobileone.Model:
    return mobileone.create_segmenter("custom", num_classes=classes, seed=3, **CONFIG)


def pixels(seed: int) -> NDArray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)
    height, width = SIZES[seed % len(SIZES)]
    return np.array(Image.fromarray(coarse).resize((width, height)))


def coco_folder(root: Path, categories: tuple[int, ...] = (2, 5, 9)) -> Path:
    """Three pictures with some boxes, a crowd, and one picture without."""
    (root / "annotations").mkdir(parents=True)
    (root / "tiny").mkdir()
    rng = np.random.default_rng(0)
    truth: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    truth["categories"] = [{"id": c, "name": f"thing {c}"} for c in reversed(categories)]
    for i in range(4):
        image = pixels(i)
        Image.fromarray(image).save(root / "tiny" / f"{i:012}.png")
        height, width = image.shape[:2]
        truth["images"].append(
            {"id": 40 + i, "file_name": f"{i:012}.png", "height": height, "width": width}
        )
        for k in range(5 if i < 3 else 0):
            corner, sides = rng.uniform(0, 30, 2), rng.uniform(10, 40, 2)
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": 40 + i, "iscrowd": int(k == 4)}
                | {"category_id": int(rng.choice(categories)), "bbox": [*corner, *sides]}
                | {"area": float(sides.prod())}
            )
    path = root / "annotations" / "instances_tiny.json"
    path.write_text(json.dumps(truth), encoding="utf-8")
    return root


def pycocotools_map(path: Path, results: list[dict[str, Any]]) -> Any:
    pytest.importorskip("pycocotools")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        evaluation = COCOeval(truth, truth.loadRes(results), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


def test_a_detector_on_coco_is_what_pycocotools_says_of_its_boxes(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    root, model = coco_folder(tmp_path), detector()
    found = mobileone.evaluate(model, root, metrics="coco", batch_size=3)
    results = []
    for i in range(4):
        boxes = model.detect(root / "tiny" / f"{i:012}.png", score=0.01)
        for label, score, (x0, y0, x1, y1) in zip(
            boxes.labels, boxes.scores, boxes.boxes.tolist(), strict=True
        ):
            results.append(
                {"image_id": 40 + i, "category_id": (2, 5, 9)[label - 1], "score": float(score)}
                | {"bbox": [x0, y0, x1 - x0, y1 - y0]}
            )
    assert len(found.results) == len(results) > 100
    stats = pycocotools_map(root / "annotations" / "instances_tiny.json", results)
    # Networks of other batch sizes may round otherwise; boxes' order does not depend on that here.
    np.testing.assert_allclose(found.figures[:6], stats[:6], rtol=0, atol=1e-12)
    assert stats[1] > 0, "something was found"
    assert (found.count, found.unreadable) == (4, ())
    assert {row["name"] for row in found.to_dataframe().to_dict("records")} == {
        "thing 2", "thing 5", "thing 9",
    }  # fmt: skip
    assert "mAP@50 %" in repr(found)
    two = (root / "annotations" / "instances_tiny.json", root / "tiny")
    assert mobileone.evaluate(model, two, metrics="coco", workers=0).figures == found.figures


def test_pictures_in_memory_are_evaluated_alike(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    root, model = coco_folder(tmp_path, (1, 2, 3)), detector()
    path = root / "annotations" / "instances_tiny.json"
    truth = json.loads(path.read_text(encoding="utf-8"))
    truth["annotations"] = [one for one in truth["annotations"] if not one["iscrowd"]]
    path.write_text(json.dumps(truth), encoding="utf-8")
    objects = []
    for i in range(4):
        own = [a for a in truth["annotations"] if a["image_id"] == 40 + i]
        boxes = np.array([a["bbox"] for a in own]).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        objects.append((boxes, np.array([a["category_id"] for a in own], np.int64)))
    images = [pixels(i) for i in range(4)]
    memory = mobileone.evaluate(model, (images, objects), metrics="coco")
    files = mobileone.evaluate(model, root, metrics="coco")
    np.testing.assert_allclose(memory.figures[:7], files.figures[:7], rtol=0, atol=1e-12)
    assert memory.data == "4 pictures"


def test_categories_are_matched_by_name_by_number_or_as_cocos(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    root, model = coco_folder(tmp_path), detector()
    usual = mobileone.evaluate(model, root, metrics="coco")
    model.class_names = ("background", "thing 9", "thing 2", "thing 5")
    ids = [r["category_id"] for r in mobileone.evaluate(model, root, metrics="coco").results]
    assert ids == [{2: 9, 5: 2, 9: 5}[r["category_id"]] for r in usual.results]
    whole = mobileone.evaluate(detector(81), root, metrics="coco")
    assert {r["category_id"] for r in whole.results} <= {2, 5, 9}
    with pytest.raises(ValueError, match=r"tiny.json: has 3 categories; .* finds 6"):
        mobileone.evaluate(detector(7), root, metrics="coco")


def slow_iou(model: mobileone.Model, images: list[NDArray], truths: list[NDArray]) -> NDArray:
    """Of each class: pictures at multiples of 16, logits interpolated by PyTorch, plain counts."""
    stride, counts = 16, np.zeros((model.num_classes, model.num_classes), np.int64)
    for image, truth in zip(images, truths, strict=True):
        height, width = (max(32, side // stride * stride) for side in image.shape[:2])
        resized = np.array(
            Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
        )
        logits = torch.from_numpy(model(resized.transpose(2, 0, 1)[None])).double()
        whole = F.interpolate(logits, truth.shape, mode="bilinear", align_corners=False)
        found = whole.argmax(1)[0].numpy()
        for a, b in zip(truth[truth != 255], found[truth != 255], strict=True):
            counts[a, b] += 1
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)


def label_maps(classes: int) -> list[NDArray]:
    rng, maps = np.random.default_rng(5), []
    for i in range(3):
        coarse = rng.choice([*range(classes), 255], (4, 5)).astype(np.uint8)
        height, width = SIZES[i]
        enlarged = Image.fromarray(coarse).resize((width, height), Image.Resampling.NEAREST)
        maps.append(np.array(enlarged))
    return maps


def voc_folder(root: Path, maps: list[NDArray]) -> Path:
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / part).mkdir(parents=True)
    names = [f"2007_{i:06}" for i in range(len(maps))]
    for i, (name, labels) in enumerate(zip(names, maps, strict=True)):
        Image.fromarray(pixels(i)).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
        image = Image.fromarray(labels)
        image.putpalette([value for i in range(256) for value in (i, 255 - i, i // 2)])
        image.save(root / "SegmentationClass" / f"{name}.png")
    text = "\n".join(names) + "\n"
    (root / "ImageSets" / "Segmentation" / "val.txt").write_text(text, encoding="utf-8")
    return root


def test_a_segmenter_on_voc_is_the_plain_count(tmp_path: Path) -> None:
    maps, model = label_maps(21), segmenter()
    root = voc_folder(tmp_path, maps)
    found = mobileone.evaluate(model, root, metrics="miou")
    images = [
        np.array(Image.open(root / "JPEGImages" / f"2007_{i:06}.jpg").convert("RGB"))
        for i in range(3)
    ]
    expected = slow_iou(model, images, maps)
    np.testing.assert_allclose(found.matrix.iou, expected, rtol=0, atol=1e-12)
    assert abs(found.mean_iou - np.nanmean(expected)) < 1e-12
    assert found.count == 3
    assert "mean IoU %" in repr(found)
    pair = (root / "JPEGImages", root / "SegmentationClass")
    same = mobileone.evaluate(model, pair, metrics="miou", threads=1, workers=0)
    np.testing.assert_array_equal(same.matrix.counts, found.matrix.counts)


def test_ade20k_counts_from_one_and_0_is_no_class(tmp_path: Path) -> None:
    maps, model = label_maps(150), segmenter(150)
    for part in ("images", "annotations"):
        (tmp_path / part / "validation").mkdir(parents=True)
    for i, labels in enumerate(maps):
        Image.fromarray(pixels(i)).save(tmp_path / "images/validation" / f"ADE_val_{i}.png")
        stored = np.where(labels == 255, 0, labels.astype(int) + 1).astype(np.uint8)
        Image.fromarray(stored).save(tmp_path / "annotations/validation" / f"ADE_val_{i}.png")
    found = mobileone.evaluate(model, tmp_path, metrics="miou")
    expected = slow_iou(model, [pixels(i) for i in range(3)], maps)
    np.testing.assert_allclose(found.matrix.iou, expected, rtol=0, atol=1e-12)


def test_pictures_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    pytest.importorskip("faster_coco_eval")
    root = coco_folder(tmp_path / "coco")
    (root / "tiny" / "000000000001.png").write_bytes(b"no picture")
    found = mobileone.evaluate(detector(), root, metrics="coco")
    assert found.count == 3
    assert [key for key, _ in found.unreadable] == [str(root / "tiny" / "000000000001.png")]
    assert "1 pictures could not be read" in repr(found)
    with pytest.raises(ValueError, match=r"000000000001.png: expected an image"):
        mobileone.evaluate(detector(), root, metrics="coco", on_error="raise")
    maps = label_maps(21)
    voc = voc_folder(tmp_path / "voc", maps)
    Image.fromarray(maps[0][:-1]).save(voc / "SegmentationClass" / "2007_000000.png")
    Image.fromarray(pixels(1)).save(voc / "SegmentationClass" / "2007_000001.png")
    result = mobileone.evaluate(segmenter(), voc, metrics="miou")
    assert result.count == 1
    texts = dict(result.unreadable)
    assert "has 69 x 96 pixels; expected 70 x 96" in texts[str(voc / "JPEGImages/2007_000000.jpg")]
    assert "has mode RGB" in texts[str(voc / "JPEGImages/2007_000001.jpg")]


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    root = coco_folder(tmp_path / "coco")
    path = root / "annotations" / "instances_tiny.json"
    with pytest.raises(ValueError, match=r"metrics is 'coco', for detection; .* for segmentation"):
        mobileone.evaluate(segmenter(), root, metrics="coco")
    with pytest.raises(ValueError, match="metrics is 'map'; expected one of"):
        mobileone.evaluate(detector(), root, metrics="map")  # type: ignore[call-overload]
    with pytest.raises(FileNotFoundError, match=r"annotations: no such folder"):
        mobileone.evaluate(detector(), tmp_path, metrics="coco")
    with pytest.raises(FileNotFoundError, match=r"neither ImageSets/Segmentation/val.txt"):
        mobileone.evaluate(segmenter(), tmp_path, metrics="miou")
    with pytest.raises(TypeError, match="data is a int; expected"):
        mobileone.evaluate(detector(), 3, metrics="coco")
    truth = json.loads(path.read_text(encoding="utf-8"))
    for change, message in (
        ({"categories": None}, r"has \['annotations', 'images'\]; expected"),
        ({"images": [{"id": 1}]}, r"images\[0\] has no 'file_name'"),
        ({"categories": [{"id": 77}]}, r"annotations\[0\] has category_id \d, which is not"),
        ({"images": []}, r"annotations\[0\] has image_id 40, which is not"),
    ):
        changed = {k: v for k, v in {**truth, **change}.items() if v is not None}
        path.write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(ValueError, match=message):
            mobileone.evaluate(detector(), root, metrics="coco")
    maps = label_maps(21)
    maps[1][3, 3] = 40
    voc = voc_folder(tmp_path / "voc", maps)
    with pytest.raises(ValueError, match=r"2007_000001.jpg: truth has label 40; expected 0 to 20"):
        mobileone.evaluate(segmenter(), voc, metrics="miou")


def test_the_command_does_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("faster_coco_eval")
    root, voc = coco_folder(tmp_path / "coco"), voc_folder(tmp_path / "voc", label_maps(21))
    detector().save(tmp_path / "ssd.safetensors")
    segmenter().save(tmp_path / "deeplab.safetensors")
    json_file = tmp_path / "figures.json"
    two = [str(root / "annotations" / "instances_tiny.json"), "--pictures", str(root / "tiny")]
    for data in ([str(root)], two):
        command = ["evaluate", str(tmp_path / "ssd.safetensors"), *data, "--metrics", "coco"]
        assert main([*command, "--json", str(json_file), "--quiet"]) == 0
        assert "mAP@50 %" in capsys.readouterr().out
    expected = mobileone.evaluate(detector(), root, metrics="coco")
    told = json.loads(json_file.read_text(encoding="utf-8"))
    assert abs(told["map_50"] - expected.map_50) < 0.02, "the other form"
    assert told["schema"] == "mobileone.evaluation.coco/1"
    command = ["evaluate", str(tmp_path / "deeplab.safetensors"), str(voc), "--metrics", "miou"]
    assert main([*command, "--quiet"]) == 0
    assert "mean IoU %" in capsys.readouterr().out
    assert main([*command, "--preset", "imagenet-a"]) == 2
    assert "--preset" in capsys.readouterr().err

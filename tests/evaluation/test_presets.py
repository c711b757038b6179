"""Published data sets in miniature, with answers that are known."""

from __future__ import annotations

import json
import math
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.evaluation.corruptions import ALEXNET_ERRORS, CorruptionErrors, corruption_of
from mobileone.evaluation.presets import PRESETS
from mobileone.tasks.classification.synsets import imagenet_synsets
from PIL import Image

from .test_evaluate import network, rows

CONFIG = network().data_config


def write(path: Path, value: int) -> None:
    """A picture of one grey, which tells `by_grey` what to say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (224, 224), (value,) * 3).save(path)


def by_grey(order: list[int]) -> object:
    """Logits of pictures of grey v: class order[v] first, order[v + 1] second, and so on."""

    def logits(images: np.ndarray) -> np.ndarray:
        pixels = images[:, 0, 0, 0] * CONFIG.std[0] + CONFIG.mean[0]
        found = np.zeros((len(images), 1000), np.float32)
        for row, value in enumerate(np.rint(pixels * 255).astype(int)):
            for place in range(5):
                found[row, order[value + place]] = 10 - place
        return found

    return logits


@pytest.mark.parametrize("name", ["imagenet-a", "imagenet-r"])
def test_only_the_subsets_columns_count(name: str, tmp_path: Path) -> None:
    columns = PRESETS[name].columns
    assert columns is not None
    assert len(columns) == 200
    outside = [i for i in range(1000) if i not in columns]
    synsets = imagenet_synsets()
    # Grey 0: a class that is not of the subset comes first, the right one second.
    order = [outside[0], columns[3], outside[1], outside[2], columns[7], columns[5]] + [0] * 10
    write(tmp_path / synsets[columns[3]] / "a.png", 0)
    # Grey 1: the right one is the second of those that count, the fourth of all.
    write(tmp_path / synsets[columns[7]] / "b.png", 1)
    result = mobileone.evaluate(by_grey(order), tmp_path, preset=name, data_config=CONFIG)
    assert result.top1.value == 0.5
    assert result.top5.value == 1
    found = {row["key"][-5:]: row for row in rows(result)}
    assert (found["a.png"]["prediction"], found["a.png"]["rank"]) == (columns[3], 0)
    assert (found["b.png"]["prediction"], found["b.png"]["rank"]) == (columns[3], 1)
    # Softmax over 200 columns: of those, two have logits 9 and 6, the rest 0.
    p = math.exp(9) / (math.exp(9) + math.exp(6) + 198)
    assert found["a.png"]["confidence"] == pytest.approx(p, rel=1e-6)
    everything = mobileone.evaluate(by_grey(order), tmp_path, data_config=CONFIG)
    assert everything.top1.value == 0
    assert f"2 pictures; all of {name} has" in repr(result)
    assert "198 of 200 have no pictures" in repr(result)
    write(tmp_path / synsets[outside[0]] / "c.png", 0)
    with pytest.raises(ValueError, match=f"are none of the 200 of {name}, such as n"):
        mobileone.evaluate(by_grey(order), tmp_path, preset=name, data_config=CONFIG)


def test_columns_are_a_set_of_classes() -> None:
    logits = np.eye(5, dtype=np.float32)
    images, labels = np.zeros((5, 224, 224, 3), np.uint8), np.arange(5)
    images += np.arange(10, 60, 10, np.uint8)[:, None, None, None]

    def model(x: np.ndarray) -> np.ndarray:
        pixels = x[:, 0, 0, 0] * CONFIG.std[0] + CONFIG.mean[0]
        return logits[np.rint(pixels * 25.5).astype(int) - 1]

    wanted = [3, 1, 4]
    data = images[wanted], labels[wanted]
    for columns in (wanted, [1, 3, 4], [4, 1, 1, 3]):
        result = mobileone.evaluate(model, data, columns=columns, data_config=CONFIG)
        assert result.top1.value == 1, "all are right, in whatever order columns are given"
        assert [row["prediction"] for row in rows(result)] == wanted
    for bad, found in (([-1, 3], "columns is -1"), ([], "columns has none")):
        with pytest.raises(ValueError, match=found):
            mobileone.evaluate(model, data, columns=bad, data_config=CONFIG)
    with pytest.raises(ValueError, match="columns has 1000; expected class indices below 1000"):
        mobileone.evaluate(network(), data, columns=[0, 1000], data_config=CONFIG)


def test_the_subsets_are_those_of_timm() -> None:
    spec = pytest.importorskip("importlib.util").find_spec("timm")
    if spec is None:
        pytest.skip("timm is not installed")
    for name in ("imagenet-a", "imagenet-r"):
        info = Path(spec.origin).parent / "data" / "_info"
        text = (info / f"{name.replace('-', '_')}_indices.txt").read_text()
        assert PRESETS[name].columns == tuple(map(int, text.split()))
        synsets = (info / f"{name.replace('-', '_')}_synsets.txt").read_text().split()
        assert [imagenet_synsets()[i] for i in PRESETS[name].columns] == synsets


def test_mean_corruption_error_by_hand(tmp_path: Path) -> None:
    """Of severity s of the k-th corruption, (s + k) mod 4 of 3 pictures are wrong."""
    synset = imagenet_synsets()[0]
    errors = {}
    for k, name in enumerate(ALEXNET_ERRORS):
        for severity in range(1, 6):
            wrong = (severity + k) % 4
            errors[name, severity] = wrong / 3
            for i in range(3):
                path = tmp_path / name / str(severity) / synset / f"{i}.png"
                write(path, 5 if i < wrong else 0)
    write(tmp_path / "spatter" / "1" / synset / "0.png", 5)
    order = [0, 1, 2, 3, 4, 9, 10, 11, 12, 13, 14]
    result = mobileone.evaluate(by_grey(order), tmp_path, preset="imagenet-c", data_config=CONFIG)
    found = result.corruptions
    assert found is not None
    assert found.errors == {**errors, ("spatter", 1): 1.0}
    expected = 0.0
    for name, alexnet in ALEXNET_ERRORS.items():
        expected += sum(errors[name, s] for s in range(1, 6)) / (5 * alexnet) / 15
    assert found.mce == pytest.approx(expected, rel=1e-12)
    assert f"mCE {100 * expected:.2f} %" in repr(result)
    assert "input 224x224, bilinear, 1 of the resized picture" in repr(result)
    part = CorruptionErrors({("fog", 1): 0.5}, {("fog", 1): 2})
    assert math.isnan(part.mce)
    assert len(part.missing) == 74


def test_alexnets_errors_are_the_papers() -> None:
    # Table 1 of Hendrycks and Dietterich (2019) rounds AlexNet's clean error and mean: 100 %.
    perfect = {(name, s): e for name, e in ALEXNET_ERRORS.items() for s in range(1, 6)}
    assert CorruptionErrors(perfect, dict.fromkeys(perfect, 1)).mce == pytest.approx(1)
    assert len(ALEXNET_ERRORS) == 15


def test_corruptions_are_folders_wherever_they_are() -> None:
    assert corruption_of("fog/3/n01440764/x.JPEG") == ("fog", 3)
    assert corruption_of("weather/fog/3/n01440764/x.JPEG") == ("fog", 3)
    assert corruption_of("n01440764/x.JPEG") is None


def test_real_labels_are_several_or_none(tmp_path: Path) -> None:
    for number, grey in ((1, 0), (2, 1), (3, 2)):
        write(tmp_path / "val" / "n01440764" / f"ILSVRC2012_val_{number:08d}.png", grey)
    (tmp_path / "real.json").write_text(json.dumps([[7, 100], [9], []]))
    order = [100, 3, 9, 5, 6, 7, 8, 9, 10]
    result = mobileone.evaluate(
        by_grey(order),
        tmp_path / "val",
        preset="imagenet-real",
        labels=tmp_path / "real.json",
        data_config=CONFIG,
    )
    assert result.count == 2  # the third one has no label
    assert [row["rank"] for row in rows(result)] == [0, 1, -1]
    p = (math.exp(10) + 1) / (sum(math.exp(10 - i) for i in range(5)) + 995)
    assert rows(result)[0]["nll"] == pytest.approx(-math.log(p), rel=1e-6)


def test_v2s_folders_are_numbers(tmp_path: Path) -> None:
    for index in (0, 1, 2, 10):
        write(tmp_path / str(index) / "x.png", 0)
    order = [10, 1, 2, 0, 4, 5]
    result = mobileone.evaluate(by_grey(order), tmp_path, preset="imagenet-v2", data_config=CONFIG)
    assert {row["key"]: row["rank"] for row in rows(result)} == {
        "0/x.png": 3,
        "1/x.png": 1,
        "10/x.png": 0,
        "2/x.png": 2,
    }


def test_presets_are_imagenets(tmp_path: Path) -> None:
    write(tmp_path / "0" / "x.png", 0)
    with pytest.raises(ValueError, match="preset is 'cifar'; expected one of imagenet-1k"):
        mobileone.evaluate(network(), tmp_path, preset="cifar")
    with pytest.raises(ValueError, match="of ImageNet's 1000 classes; the model has others"):
        mobileone.evaluate(network(10), tmp_path, preset="imagenet-v2")

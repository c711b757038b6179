"""The demo's photo handling, and the whole demo on the engine."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from mobileone.data.photo import centre_crop, load_photo, random_crops


def hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Let importlib believe that ``modules`` are not installed."""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name, *a: None if name in modules else find_spec(name, *a),
    )


def save_image(path: Path, pixels: np.ndarray) -> Path:
    from PIL import Image

    Image.fromarray(pixels).save(path)
    return path


def test_grace_hopper_is_found_and_resized() -> None:

    photo = load_photo(None, 256)
    assert "Grace Hopper" in photo.origin
    assert min(photo.pixels.shape[:2]) == 256
    assert photo.pixels.shape[0] > 256, "the portrait is taller than wide"
    assert photo.pixels.dtype == np.uint8
    assert photo.pixels.std() > 30


def test_the_portrait_needs_no_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    photo = load_photo(None, 256)
    assert "Grace Hopper" in photo.origin
    with pytest.raises(ImportError, match=r"mobileone\[image\]"):
        load_photo(None, 300)


def test_the_portrait_is_the_one_that_matplotlib_ships() -> None:
    import matplotlib as mpl

    path = Path(mpl.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    shipped = load_photo(None, 256).pixels.astype(int)
    difference = np.abs(shipped - load_photo(path, 256).pixels)
    assert difference.max() <= 2, "only the JPEG decoder's and the filter's last bits may differ"


@pytest.mark.parametrize(("height", "width"), [(100, 150), (150, 100), (10, 640), (64, 64)])
def test_short_side_is_resized_and_the_aspect_kept(tmp_path: Path, height: int, width: int) -> None:
    rng = np.random.default_rng(0)
    file = save_image(tmp_path / "p.png", rng.integers(0, 256, (height, width, 3), np.uint8))
    pixels = load_photo(file, 64).pixels
    scale = 64 / min(height, width)
    assert pixels.shape == (round(height * scale), round(width * scale), 3)


def test_grey_alpha_and_rotated_images_become_upright_rgb(tmp_path: Path) -> None:
    from PIL import Image

    grey = np.arange(64 * 80, dtype=np.uint8).reshape(64, 80)
    assert load_photo(save_image(tmp_path / "g.png", grey), 32).pixels.shape[2] == 3
    rgba = np.zeros((40, 50, 4), np.uint8)
    assert load_photo(save_image(tmp_path / "a.png", rgba), 32).pixels.shape[2] == 3
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by 90 degrees
    Image.fromarray(np.zeros((40, 80, 3), np.uint8)).save(tmp_path / "r.jpg", exif=exif)
    assert load_photo(tmp_path / "r.jpg", 40).pixels.shape == (80, 40, 3)


@pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_unreadable_image_names_the_file(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "broken.png"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.png: expected an image"):
        load_photo(file, 32)


def test_truncated_image_names_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    whole = save_image(tmp_path / "whole.png", rng.integers(0, 256, (64, 64, 3), np.uint8))
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"cut\.png"):
        load_photo(cut, 32)


def test_missing_image_is_a_file_not_found_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_photo(tmp_path / "nowhere.jpg", 32)


def test_centre_crop_and_random_crops_are_windows_of_the_photo() -> None:
    pixels = np.arange(9 * 12 * 3, dtype=np.int64).reshape(9, 12, 3)
    np.testing.assert_array_equal(centre_crop(pixels, (5, 4)), pixels[2:7, 4:8])  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    crops = random_crops(pixels, 64, (5, 4), rng)  # type: ignore[arg-type]
    assert crops.shape == (64, 5, 4, 3)
    windows = {
        pixels[r : r + 5, c : c + 4][:, ::step].tobytes()
        for r in range(5)
        for c in range(9)
        for step in (1, -1)
    }
    found = {np.ascontiguousarray(crop).tobytes() for crop in crops}
    assert found <= windows
    assert len(found) > 20, "crops must differ from one another"
    directions = {bool(crop[0, 0, 0] < crop[0, 1, 0]) for crop in crops}
    assert directions == {True, False}, "both mirrored and not"


# With the engine


def test_demo_runs_the_whole_path(tmp_path: Path) -> None:
    from mobileone.cli.demo import run_demo

    lines: list[str] = []
    result = run_demo(
        name="mobileone_mu0", threads=1, runs=3, out=tmp_path / "d.png", show=lines.append
    )
    assert result.equivalence
    assert result.digits is not None
    forms = {label: model.form for label, model in result.models.items()}
    assert forms == {"before": "train-time", "after": "inference"}
    assert not result.models["before"].training
    assert [row.runs for row in result.benchmark.rows] == [3, 3]
    text = "\n".join(lines)
    for part in (
        "random weights from seed 0",
        "photo:",
        "largest logits",
        "handwritten digits",
        repr(result.equivalence),
    ):
        assert part in text
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")


def test_demo_recognises_digits_in_both_forms() -> None:
    from mobileone.cli.demo_digits import DIGITS_CHECKPOINT, run_digits

    lines: list[str] = []
    result = run_digits(threads=1, runs=3, show=lines.append)
    assert result.images == 360
    # Logistic regression has 90.6 % there, a support vector machine 96.4 %.
    assert result.right["before"] == result.right["after"] >= 0.975 * 360
    assert result.same == 360
    assert {label: m.form for label, m in result.models.items()} == {
        "before": "train-time",
        "after": "inference",
    }
    assert result.models["before"].config["num_conv_branches"] == 4
    assert "the same prediction on 360 of 360 images" in lines[0]
    assert DIGITS_CHECKPOINT.stat().st_size <= 3_000_000


def test_demo_weights_have_statistics_of_their_own(tmp_path: Path) -> None:
    import mobileone
    from mobileone.cli.demo import run_demo

    result = run_demo(
        name="mobileone_mu0", threads=1, runs=1, out=tmp_path / "d.png", show=lambda _: None
    )
    fresh = mobileone.create_model("mobileone_mu0", seed=0).state_dict()
    settled = result.models["before"].state_dict()
    moved = [name for name in fresh if not np.array_equal(fresh[name], settled[name])]
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert moved
    assert all(name.endswith(statistics) for name in moved)
    assert {name for name in fresh if name.endswith(statistics)} == set(moved)


def test_demo_takes_a_checkpoint_and_an_image(tmp_path: Path) -> None:
    import mobileone
    from mobileone.cli.demo import run_demo

    weights = tmp_path / "net.safetensors"
    mobileone.create_model("mobileone_mu0", seed=3).save(weights)
    rng = np.random.default_rng(0)
    photo = save_image(tmp_path / "p.png", rng.integers(0, 256, (300, 260, 3), np.uint8))
    options = {"threads": 1, "runs": 1, "out": tmp_path / "d.png", "show": lambda _: None}
    result = run_demo(checkpoint=weights, image=photo, **options)
    assert result.equivalence
    assert result.photo.origin == str(photo)
    loaded = result.models["before"].state_dict()
    for name, value in mobileone.create_model("mobileone_mu0", seed=3).state_dict().items():
        np.testing.assert_array_equal(loaded[name], value, err_msg=name)


def test_demo_refuses_a_fused_checkpoint(tmp_path: Path) -> None:
    import mobileone
    from mobileone.cli.demo import run_demo

    weights = tmp_path / "fused.safetensors"
    mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=3)).save(weights)
    with pytest.raises(ValueError, match=r"fused\.safetensors holds the inference form"):
        run_demo(checkpoint=weights, out=tmp_path / "d.png", show=lambda _: None)
    assert not (tmp_path / "d.png").exists()


def test_demo_without_matplotlib_says_how_to_get_the_plot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mobileone.cli.demo import run_demo

    hide(monkeypatch, "matplotlib")
    lines: list[str] = []
    result = run_demo(
        name="mobileone_mu0", threads=1, runs=1, out=tmp_path / "d.png", show=lines.append
    )
    assert result.plot is None
    assert not (tmp_path / "d.png").exists()
    assert any("pip install 'mobileone[plot]'" in line for line in lines)

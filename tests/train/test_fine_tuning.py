"""docs/fine_tuning.md, run as it stands; and its command."""

from __future__ import annotations

import re
from pathlib import Path

import mobileone
import numpy as np
import pytest
from mobileone.cli import main
from PIL import Image

PAGE = Path(__file__).resolve().parents[2] / "docs" / "fine_tuning.md"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of 1000 classes, and ten classes of images, each of a colour."""
    monkeypatch.chdir(tmp_path)
    mobileone.create_model("mobileone_mu0", seed=1).save("mobileone_mu0.safetensors")
    rng = np.random.default_rng(0)
    for part, count in (("train", 5), ("validation", 2)):
        for label in range(10):
            folder = tmp_path / "photos" / part / f"class_{label}"
            folder.mkdir(parents=True)
            colour = np.array([label % 3, label // 3 % 3, label // 9]) * 80
            for i in range(count):
                pixels = colour + rng.integers(0, 60, (72, 80, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return tmp_path


def test_the_page_runs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    onnx = pytest.importorskip("onnx")
    code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert len(code) == 4
    scope: dict[str, object] = {}
    with pytest.warns(UserWarning, match="linear.bias started anew with random weights"):
        exec("\n".join(code), scope)
    out = capsys.readouterr().out
    model = mobileone.load("fine_tuned.safetensors")
    assert model.class_names == tuple(f"class_{i}" for i in range(10))
    assert "class_" in out.splitlines()[-1]
    before = mobileone.load("mobileone_mu0.safetensors").state_dict()
    after = model.state_dict()
    assert after["linear.weight"].shape[0] == 10
    stem = [k for k in before if k.startswith("stage0") and k.endswith("conv.weight")]
    # Three epochs at a rate of 0.01 move the first layer, but leave it what it was.
    for name in stem:
        assert not np.array_equal(before[name], after[name])
        assert np.corrcoef(before[name].ravel(), after[name].ravel())[0, 1] > 0.9
    fused = mobileone.load("fine_tuned_fused.safetensors")
    assert fused.form == "inference"
    session = onnx.load("fine_tuned.onnx")
    assert session.graph.output[0].type.tensor_type.shape.dim[1].dim_value == 10


def test_its_command_runs(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = re.search(r"`(mobileone train .*?)`", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert command is not None
    words = command[1].split()[1:]
    assert main([*words, "--plot", "p.png", "--json", "h.json", "--batch-size", "25"]) == 0
    captured = capsys.readouterr()
    assert "saved: fine_tuned.safetensors" in captured.out
    assert captured.err.count("epoch ") == 3
    assert mobileone.load("fine_tuned.safetensors").num_classes == 10
    assert (photos / "p.png").read_bytes().startswith(b"\x89PNG")
    assert (photos / "h.json").exists()

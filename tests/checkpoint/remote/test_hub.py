"""Hugging Face: a made-up cache, a server in its place, and neither.

Its library reads its settings when it is imported, hence fresh interpreters.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import mobileone
import pytest

from .web_server import COMMIT, Server, sha256

Run = Callable[..., str]
REPO = "someone/tiny.in1k"
TIMM = {"architecture": "x", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "crop_pct": 0.95}}

LOAD = """
import json, sys, mobileone, warnings
warnings.filterwarnings("ignore", ".*; taken as published")
model = mobileone.load(sys.argv[1] if len(sys.argv) > 1 else SOURCE)
print(json.dumps([model.name, model.num_params, model.data_config.mean[0], model.report.source]))
"""


def load_script(source: str) -> str:
    return f"SOURCE = {source!r}\n{LOAD}"


def make_cache(home: Path, files: dict[str, bytes]) -> Path:
    """A Hugging Face cache as its library lays it out."""
    repo = home / "hub" / f"models--{REPO.replace('/', '--')}"
    snapshot = repo / "snapshots" / COMMIT
    for name, content in files.items():
        path = snapshot / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (repo / "refs").mkdir()
    (repo / "refs" / "v1").write_text(COMMIT)
    return snapshot


def hub_environment(home: Path, **more: str) -> dict[str, str]:
    return {"HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", **more}


@pytest.mark.parametrize("revision", ["v1", COMMIT])
@pytest.mark.parametrize("filename", ["", ":model.safetensors", ":deep/other.bin"])
def test_the_cache_of_hugging_face_is_used_offline(
    revision: str,
    filename: str,
    tmp_path: Path,
    weights: bytes,
    model: mobileone.Model,
    python: Run,
) -> None:
    files = {"model.safetensors": weights, "deep/other.bin": weights}
    snapshot = make_cache(tmp_path, files)
    environment = hub_environment(tmp_path, HF_HUB_OFFLINE="1")
    found = json.loads(python(load_script(f"hf-hub:{REPO}@{revision}{filename}"), **environment))
    path = snapshot / (filename.removeprefix(":") or "model.safetensors")
    assert found == ["tiny.in1k", model.num_params, 0.485, str(path)]


def test_the_second_name_and_timms_description(
    tmp_path: Path, model: mobileone.Model, python: Run
) -> None:
    torch = pytest.importorskip("torch")
    state = {k: torch.from_numpy(v.copy()) for k, v in model.state_dict("timm").items()}
    torch.save(state, tmp_path / "x.bin")
    files = {"pytorch_model.bin": (tmp_path / "x.bin").read_bytes()}
    make_cache(tmp_path, {**files, "config.json": json.dumps(TIMM).encode()})
    environment = hub_environment(tmp_path, HF_HUB_OFFLINE="1")
    found = json.loads(python(load_script(f"hf-hub:{REPO}@v1"), **environment))
    assert found[1:3] == [model.num_params, 0.5]
    assert found[3].endswith("pytorch_model.bin")


def test_a_server_of_hugging_face(
    server: Server, tmp_path: Path, weights: bytes, model: mobileone.Model, python: Run
) -> None:
    server.files[f"/{REPO}/resolve/v1/model.safetensors"] = weights
    server.files[f"/{REPO}/resolve/v1/config.json"] = json.dumps(TIMM).encode()
    environment = hub_environment(tmp_path / "home", HF_ENDPOINT=server.address)
    for _ in range(2):
        found = json.loads(
            python(load_script(f"hf-hub:{REPO}@v1#sha256={sha256(weights)}"), **environment)
        )
        assert found[:3] == ["tiny.in1k", model.num_params, 0.485]  # our own file says it itself
        assert COMMIT in found[3]
    assert sum("model.safetensors" in asked for asked in server.asked) == 2  # HEAD, GET
    assert sum("config.json" in asked for asked in server.asked) == 2


def failure(source: str) -> str:
    return (
        "import mobileone\ntry:\n"
        f"    mobileone.load({source!r})\n"
        "except OSError as error:\n    print(type(error).__name__, error)"
    )


def test_offline_hugging_face_says_what_to_download_and_where_to_put_it(
    tmp_path: Path, weights: bytes, model: mobileone.Model, python: Run
) -> None:
    source = f"hf-hub:{REPO}@v1"
    message = python(failure(source), **hub_environment(tmp_path, HF_HUB_OFFLINE="1"))
    assert message.startswith(f"ConnectionError {source}: cannot reach huggingface.co (")
    url = f"https://huggingface.co/{REPO}/resolve/v1/model.safetensors"
    assert f"download {url} and put it at " in message
    place = Path(message.partition("put it at ")[2].partition(",")[0])
    place.parent.mkdir(parents=True)
    place.write_bytes(weights)
    # Now neither the network nor huggingface_hub is needed, and the file's address will do too.
    place.with_name("config.json").write_text(json.dumps(TIMM))
    for named in (source, f"{source}:model.safetensors", url):
        loaded = mobileone.load(named, sha256=sha256(weights))
        assert loaded.num_params == model.num_params
        assert loaded.name == "tiny.in1k"


@pytest.mark.parametrize("content", ["", "[]", "{", '{"pretrained_cfg": 3}', "[" * 100_000])
def test_descriptions_that_are_none(content: str, weights: bytes, cache: Path) -> None:
    folder = cache / "huggingface.co" / REPO / "v1"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "config.json").write_text(content)
    assert mobileone.load(f"hf-hub:{REPO}@v1").data_config.mean == (0.485, 0.456, 0.406)


def test_what_hugging_face_does_not_have(server: Server, tmp_path: Path, python: Run) -> None:
    environment = hub_environment(tmp_path, HF_ENDPOINT=server.address)
    message = python(failure(f"hf-hub:{REPO}@v1"), **environment)
    assert message.startswith("FileNotFoundError")
    assert "has no model.safetensors or pytorch_model.bin; name a file of it" in message
    message = python(failure(f"hf-hub:{REPO}@v1:x.pth"), **environment)
    assert "has no x.pth" in message


def test_without_huggingface_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"pip install 'mobileone\[hub\]'.*put it at"):
        mobileone.load(f"hf-hub:{REPO}@v1")

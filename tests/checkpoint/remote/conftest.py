"""A local server, an empty cache and weights to fetch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import mobileone
import pytest

from .web_server import Handler, Server


@pytest.fixture
def server() -> Iterator[Server]:
    held = Server("")
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, held))
    held.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    yield held
    listening.shutdown()
    listening.server_close()
    thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MOBILEONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def model() -> mobileone.Model:
    return mobileone.create_model("custom", widths=[8, 12], depths=[1, 1], num_classes=5, seed=1)


@pytest.fixture(scope="module")
def weights(model: mobileone.Model, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("weights") / "x.safetensors"
    model.save(path, layout="timm")
    return path.read_bytes()

"""Remote sources: a local server, a made-up cache of Hugging Face, no network at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone.checkpoint import CheckpointError, download, hub
from mobileone.cli import main

Run = Callable[..., str]
COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/tiny.in1k"
TIMM = {"architecture": "x", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "crop_pct": 0.95}}


@dataclass
class Server:
    """Files by path, and what was asked of it."""

    address: str
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    redirects: dict[str, str] = field(default_factory=dict)
    shortened: set[str] = field(default_factory=set)
    lengths: dict[str, str] = field(default_factory=dict)  # what Content-Length says instead
    slow: set[str] = field(default_factory=set)  # a byte at a time


class Handler(BaseHTTPRequestHandler):
    def __init__(self, server: Server, *arguments: object) -> None:
        self.held = server
        super().__init__(*arguments)

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        body = self.answer()
        if self.path in self.held.slow:
            with suppress(OSError):  # the client gives up
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    time.sleep(0.02)
            return
        self.wfile.write(body[: len(body) // 2] if self.path in self.held.shortened else body)

    def answer(self) -> bytes:
        self.held.asked.append(f"{self.command} {self.path}")
        if self.path in self.held.redirects:
            self.send_response(302)
            self.send_header("Location", self.held.redirects[self.path])
            self.end_headers()
            return b""
        body = self.held.files.get(self.path)
        self.send_response(200 if body is not None else 404)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(body or b"").hexdigest()}"')
        length = self.held.lengths.get(self.path, str(len(body or b"")))
        self.send_header("Content-Length", length)
        self.end_headers()
        return body or b""

    def log_message(self, *arguments: object) -> None:
        pass


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


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def unreachable() -> str:
    """An address of this machine at which nothing listens."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    listening.server_close()
    return f"127.0.0.1:{listening.server_port}"


# Addresses.


def test_a_file_is_fetched_once(
    server: Server, weights: bytes, model: mobileone.Model, cache: Path
) -> None:
    server.files["/a/b/tiny.safetensors"] = weights
    url = f"{server.address}/a/b/tiny.safetensors"
    x = images(1, (32, 32))
    for load in (
        lambda: mobileone.load(url, sha256=sha256(weights)),
        lambda: mobileone.load(f"{url}#sha256={sha256(weights).upper()}"),
        lambda: mobileone.load(f"{url}#sha256={sha256(weights)}", num_classes=5),
    ):
        loaded = load()
        np.testing.assert_array_equal(loaded(x), model(x))
        assert loaded.name == "tiny.safetensors"
    assert server.asked == ["GET /a/b/tiny.safetensors"]
    place = (
        cache / server.address.removeprefix("http://").replace(":", "_") / "a/b/tiny.safetensors"
    )
    assert place.read_bytes() == weights
    assert [p for p in cache.rglob("*") if p.is_file()] == [place]


def test_addresses_with_other_queries_are_other_files(server: Server, weights: bytes) -> None:
    for query in ("", "?v=1", "?v=2"):
        server.files[f"/x.pth{query}"] = weights + query.encode()
        found = hub.fetch(f"{server.address}/x.pth{query}", sha256(weights + query.encode()))
        assert found.path.read_bytes() == weights + query.encode()
    assert len(server.asked) == 3


def test_another_checksum_is_refused_and_not_kept(
    server: Server, weights: bytes, cache: Path
) -> None:
    server.files["/x.safetensors"] = weights
    url = f"{server.address}/x.safetensors"
    with pytest.raises(CheckpointError, match=f"has sha256 {sha256(weights)}; expected {'0' * 64}"):
        mobileone.load(url, sha256="0" * 64)
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_a_damaged_copy_is_noticed(server: Server, weights: bytes) -> None:
    server.files["/x.safetensors"] = weights
    url = f"{server.address}/x.safetensors"
    path = hub.fetch(url, sha256(weights)).path
    path.write_bytes(weights[:-1] + b"\x01")
    with pytest.raises(CheckpointError, match=r"has sha256 .*delete it to fetch it again"):
        mobileone.load(url, sha256=sha256(weights))
    path.unlink()
    assert mobileone.load(url, sha256=sha256(weights)).num_classes == 5


def test_a_connection_that_breaks_leaves_nothing(
    server: Server, weights: bytes, cache: Path
) -> None:
    server.files["/x.safetensors"] = weights
    server.shortened.add("/x.safetensors")
    with pytest.raises(ConnectionError, match=r"x\.safetensors: cannot be fetched \("):
        mobileone.load(f"{server.address}/x.safetensors", sha256=sha256(weights))
    assert [p for p in cache.rglob("*") if p.is_file()] == []


def test_a_length_that_is_no_number_is_ignored(server: Server, weights: bytes) -> None:
    server.files["/x.safetensors"] = weights
    server.lengths["/x.safetensors"] = "abc"
    address = f"{server.address}/x.safetensors"
    assert mobileone.load(address, sha256=sha256(weights)).num_classes == 5


def test_what_is_too_large_is_not_downloaded(
    server: Server, weights: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", 1000)
    server.files["/x.safetensors"] = server.files["/y.safetensors"] = weights
    server.lengths["/y.safetensors"] = "abc"  # does not say how much is to come
    for name, found in (("x", f"has {len(weights)} bytes"), ("y", "has more than 1000 bytes")):
        with pytest.raises(CheckpointError, match=rf"{name}\.safetensors: {found}"):
            mobileone.load(f"{server.address}/{name}.safetensors", sha256=sha256(weights))
    assert not [path for path in cache.rglob("*") if path.is_file()]


def test_a_transfer_has_an_end_in_time(
    server: Server, weights: bytes, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TOTAL_S", 0.2)
    server.files["/x.safetensors"] = weights
    server.slow.add("/x.safetensors")
    with pytest.raises(ConnectionError, match=r"cannot be fetched \(\d+ bytes in 0\.2 s\)"):
        mobileone.load(f"{server.address}/x.safetensors", sha256=sha256(weights))
    assert not [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname", "data:,x"])
def test_redirects_lead_nowhere_but_to_the_web(server: Server, weights: bytes, target: str) -> None:
    server.redirects["/x.safetensors"] = f"{target}?token=secret"
    with pytest.raises((CheckpointError, ConnectionError)) as caught:
        mobileone.load(f"{server.address}/x.safetensors", sha256=sha256(weights))
    assert "x.safetensors" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_messages_show_neither_signatures_nor_credentials(server: Server, weights: bytes) -> None:
    server.files["/x.safetensors?X-Signature=secret"] = weights
    signed = f"{server.address}/x.safetensors?X-Signature=secret"
    wrong = "0" * 64
    for address, checksum in (
        (signed, wrong),
        (f"{server.address}/none.pth?X-Signature=secret", wrong),
        (f"http://{unreachable()}/x.pth?X-Signature=secret", wrong),
        (signed, None),
        ("https://name:secret@127.0.0.1/x.pth", None),
    ):
        with pytest.raises((CheckpointError, OSError, ValueError)) as caught:
            mobileone.load(address, sha256=checksum)
        assert "secret" not in str(caught.value)
    loaded = mobileone.load(signed, sha256=sha256(weights))
    assert "secret" not in repr(loaded.report) + loaded.name


def test_what_the_server_does_not_have(server: Server) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.pth: 404"):
        mobileone.load(f"{server.address}/none.pth", sha256="0" * 64)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_offline_it_says_what_to_download_and_where_to_put_it(
    scheme: str, weights: bytes, model: mobileone.Model
) -> None:
    url = f"{scheme}://{unreachable()}/some/tiny.safetensors"
    with pytest.raises(ConnectionError, match="cannot be fetched") as caught:
        mobileone.load(url, sha256=sha256(weights))
    message = str(caught.value)
    assert f"download {url} and put it at " in message
    place = Path(message.partition("put it at ")[2].partition(",")[0])
    place.write_bytes(weights)
    assert mobileone.load(url, sha256=sha256(weights)).num_params == model.num_params


def test_without_encryption_a_checksum_is_needed(server: Server, weights: bytes) -> None:
    server.files["/x.safetensors"] = weights
    with pytest.raises(ValueError, match="not encrypted; expected https, or a checksum"):
        mobileone.load(f"{server.address}/x.safetensors")
    assert server.asked == []


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_https(
    server: Server, weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ssl

    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    command += ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    held = Server("", {"/x.safetensors": weights})
    held.redirects["/elsewhere"] = f"{server.address}/x.safetensors"
    server.files["/x.safetensors"] = weights
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, held))
    listening.socket = context.wrap_socket(listening.socket, server_side=True)
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    try:
        address = f"https://127.0.0.1:{listening.server_port}"
        with pytest.raises(ConnectionError, match="certificate"):  # nobody vouches for it
            mobileone.load(f"{address}/x.safetensors")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert mobileone.load(f"{address}/x.safetensors").num_classes == 5
        with pytest.raises(
            CheckpointError, match=r"redirects to http://.*, which is not encrypted"
        ):
            mobileone.load(f"{address}/elsewhere")
        assert mobileone.load(f"{address}/elsewhere", sha256=sha256(weights)).num_classes == 5
    finally:
        listening.shutdown()
        listening.server_close()
        thread.join()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("https://", "expected https://host/path"),
        ("https://example.org", "does not name a file on example.org"),
        ("https://example.org/a/../../b", "does not name a file"),
        ("https://user:secret@example.org/x.pth", "without credentials"),
        ("https://example.org/x.pth#md5=0", "expected one #sha256="),
        ("https://example.org/x.pth#sha256=12", "sha256 is '12'; expected 64 hexadecimal digits"),
        ("hf-hub:someone/tiny", "expected hf-hub:owner/name@revision"),
        ("hf-hub:tiny@main", "expected hf-hub:owner/name@revision"),
        ("hf-hub:someone/tiny@main:", "expected hf-hub:owner/name@revision"),
        ("hf-hub:someone/../tiny@main", "expected hf-hub:owner/name@revision"),
        ("hf-hub:someone/tiny@main:../x", "does not name a file on huggingface.co"),
    ],
)
def test_sources_that_are_none(source: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mobileone.load(source)


def test_checksums_of_local_files(tmp_path: Path, weights: bytes) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(weights)
    assert mobileone.load(path, sha256=sha256(weights)).num_classes == 5
    with pytest.raises(CheckpointError, match=r"x\.safetensors has sha256"):
        mobileone.load(path, sha256="0" * 64)
    with pytest.raises(ValueError, match="sha256 is 'abc'"):
        mobileone.load(path, sha256="abc")
    with pytest.raises(ValueError, match="source is a dict; only files have checksums"):
        mobileone.load({}, sha256="0" * 64)
    with pytest.raises(ValueError, match="expected one #sha256="):
        mobileone.load(f"https://example.org/x#sha256={'0' * 64}", sha256="0" * 64)


def test_where_files_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MOBILEONE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / "mobileone"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub.cache_folder() == tmp_path / ".cache" / "mobileone"


# Hugging Face. Its library reads its settings when it is imported, hence fresh interpreters.

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


def test_the_command_line(
    capsys: pytest.CaptureFixture[str], server: Server, weights: bytes
) -> None:
    server.files["/x.safetensors"] = weights
    url = f"{server.address}/x.safetensors#sha256={sha256(weights)}"
    assert main(["info", url]) == 0
    assert "custom" in capsys.readouterr().out
    assert main(["info", f"http://{unreachable()}/x.pth#sha256={'0' * 64}"]) == 1
    assert "cannot be fetched" in capsys.readouterr().err

"""Files by their address: a local server, no network at all."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone.checkpoint import CheckpointError, download, hub
from mobileone.cli import main

from .web_server import Handler, Server, sha256, unreachable

Run = Callable[..., str]


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


def test_the_command_line(
    capsys: pytest.CaptureFixture[str], server: Server, weights: bytes
) -> None:
    server.files["/x.safetensors"] = weights
    url = f"{server.address}/x.safetensors#sha256={sha256(weights)}"
    assert main(["info", url]) == 0
    assert "custom" in capsys.readouterr().out
    assert main(["info", f"http://{unreachable()}/x.pth#sha256={'0' * 64}"]) == 1
    assert "cannot be fetched" in capsys.readouterr().err

"""One file over HTTP: whole, with the right checksum, within bounds of size and time."""

from __future__ import annotations

import hashlib
import time
import urllib.error
import urllib.request
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit, urlunsplit

from mobileone.util.errors import CheckpointError, shown
from mobileone.util.files import whole_file

__all__ = ["MAX_BYTES", "STALL_S", "TOTAL_S", "advice", "download", "public_url"]

# The largest published checkpoint of these networks has 0.1 GB, with optimizer states 0.4 GB.
MAX_BYTES = 4 << 30
# Without a byte for this long, or not complete after this long, a transfer is given up.
STALL_S = 30.0
TOTAL_S = 3600.0
_CHUNK = 1 << 20


def public_url(url: str) -> str:
    """An address as messages may show it: without credentials and without a query's values."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    query = "..." if parts.query else ""
    return urlunsplit((parts.scheme, host, parts.path, query, ""))


def advice(url: str, place: Path) -> str:
    """What to do by other means."""
    return (
        f"On a machine that can, download {public_url(url)} and put it at {place}, or pass its "
        "path to mobileone.load"
    )


def download(url: str, place: Path, sha256: str | None = None) -> None:
    """Write what an address holds to `place`, whole or not at all.

    Args:
        url: https, or http with a checksum. Redirects must lead to such ones too.
        place: the file; its folder exists.
        sha256: what the content must hash to, 64 lower-case hexadecimal digits.

    Raises:
        CheckpointError: another checksum; larger than MAX_BYTES; a redirect to somewhere else.
        FileNotFoundError: the server has no such file.
        ConnectionError: not reachable, broken off, or slower than STALL_S and TOTAL_S allow.
        OSError: the file cannot be written.
    """
    named = public_url(url)
    opener = urllib.request.build_opener(_Redirects(sha256 is not None))
    request = urllib.request.Request(url, headers={"User-Agent": "mobileone"})
    deadline = time.monotonic() + TOTAL_S
    try:
        with opener.open(request, timeout=STALL_S) as answer:
            announced = _announced(answer, named)
            with whole_file(place) as file:
                _copy(answer, file, named, announced, sha256, deadline)
    except urllib.error.HTTPError as error:
        with error:
            kind = FileNotFoundError if error.code in (404, 410) else ConnectionError
            # A refused redirect's text holds its address, with whatever signs it.
            said = "a redirect" if 300 <= error.code < 400 else shown(error.reason)
            raise kind(f"{named}: {error.code} {said}") from error
    except (urllib.error.URLError, _BrokenError, HTTPException, TimeoutError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise ConnectionError(
            f"{named}: cannot be fetched ({reason}). {advice(url, place)}"
        ) from error


class _BrokenError(Exception):
    """A transfer that ended otherwise than it should."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    def __init__(self, checked: bool) -> None:
        self._checked = checked

    def redirect_request(self, req: Any, *arguments: Any) -> Any:
        """CheckpointError unless it leads to https, or to http where a checksum is known."""
        target = arguments[-1]
        scheme = urlsplit(target).scheme
        if scheme != "https" and not (self._checked and scheme == "http"):
            arguments[0].close()  # the answer, which nobody else would close
            raise CheckpointError(
                f"{public_url(req.full_url)}: redirects to {public_url(target)}, which is not "
                "encrypted; expected https"
            )
        return super().redirect_request(req, *arguments)


def _announced(answer: HTTPResponse, named: str) -> int | None:
    """Bytes that the server says are to come; None if it does not say, or says nonsense."""
    text = answer.headers.get("Content-Length", "")
    if not (text.isascii() and text.isdigit()):
        return None
    if int(text) > MAX_BYTES:
        raise CheckpointError(f"{named}: has {text} bytes; expected at most {MAX_BYTES}")
    return int(text)


def _copy(
    answer: HTTPResponse,
    file: BinaryIO,
    named: str,
    announced: int | None,
    sha256: str | None,
    deadline: float,
) -> None:
    digest, size = hashlib.sha256(), 0
    while chunk := _next(answer):
        size += len(chunk)
        if size > MAX_BYTES:
            raise CheckpointError(f"{named}: has more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise _BrokenError(f"{size} bytes in {TOTAL_S:g} s")
        digest.update(chunk)
        file.write(chunk)
    if announced is not None and announced != size:
        raise _BrokenError(f"it ended after {size} of {announced} bytes")
    if sha256 is not None and digest.hexdigest() != sha256:
        raise CheckpointError(
            f"{named}: has sha256 {digest.hexdigest()}; expected {sha256}. Not kept"
        )


def _next(answer: HTTPResponse) -> bytes:
    """What has arrived, at most a chunk: waiting for a whole one would have no end in time."""
    try:
        return answer.read1(_CHUNK)
    except (OSError, ValueError) as error:
        raise _BrokenError(str(error) or type(error).__name__) from error

"""An HTTP server on this machine whose answers are as wrong as a test wants."""

from __future__ import annotations

import hashlib
import time
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def unreachable() -> str:
    """An address of this machine at which nothing listens."""
    listening = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    listening.server_close()
    return f"127.0.0.1:{listening.server_port}"

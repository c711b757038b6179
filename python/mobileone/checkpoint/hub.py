"""Checkpoints from elsewhere: ``hf-hub:owner/name@revision[:filename]`` and ``https://...``.

Needs the extra `hub` for Hugging Face. What was fetched once is not fetched again.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mobileone.checkpoint import CheckpointError
from mobileone.checkpoint.described import Description, parse_description
from mobileone.checkpoint.download import advice, download, public_url

__all__ = ["Fetched", "cache_folder", "check_sha256", "fetch", "parse_sha256"]

HUGGING_FACE = "huggingface.co"
# What timm and transformers call the weights, the safer format first.
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CHUNK = 1 << 20

_NAME = r"[A-Za-z0-9][\w.-]*"
_HUB = re.compile(
    rf"hf-hub:(?P<repo>{_NAME}/{_NAME})@(?P<revision>[\w./-]+)(:(?P<filename>[\w./-]+))?", re.ASCII
)
_HUB_URL = re.compile(
    rf"https://{re.escape(HUGGING_FACE)}/(?P<repo>{_NAME}/{_NAME})/resolve/"
    r"(?P<revision>[\w.-]+)/(?P<filename>[\w./-]+)",
    re.ASCII,
)


@dataclass(frozen=True)
class Fetched:
    """A remote checkpoint that is a local file now.

    Attributes:
        path: the file.
        name: for reports.
        description: what the repository's config.json says of the weights, where it has one.
    """

    path: Path
    name: str
    description: Description | None = None

    @property
    def pretrained_cfg(self) -> Mapping[str, Any] | None:
        """timm's description of the weights, where the repository has one."""
        return None if self.description is None else self.description.pretrained_cfg


@dataclass(frozen=True)
class _HubFile:
    repo: str
    revision: str
    filename: str

    @property
    def url(self) -> str:
        return f"https://{HUGGING_FACE}/{self.repo}/resolve/{self.revision}/{self.filename}"

    @property
    def place(self) -> Path:
        return _place(HUGGING_FACE, f"{self.repo}/{self.revision}/{self.filename}")


def fetch(source: str, sha256: str | None = None) -> Fetched:
    """The file behind a remote source, downloaded unless it was before.

    Args:
        source: ``hf-hub:owner/name@revision[:filename]``, where the revision is a commit, tag or
            branch, or an ``https://`` address; either may end in ``#sha256=<hex digits>``.
            Without a filename ``model.safetensors`` or ``pytorch_model.bin``. ``http://`` needs a
            checksum.
        sha256: checksum that the file must have, as 64 hexadecimal digits.

    Raises:
        ValueError: a source or checksum that is not one.
        CheckpointError: the file has another checksum, is too large, or is somewhere unencrypted.
        OSError: not found, or not reachable, broken off or too slow (`download`); the message says
            what to download by other means, and where to put it.
        ImportError: huggingface_hub is needed and not installed.
    """
    source, _, fragment = source.partition("#")
    if fragment:
        if not fragment.startswith("sha256=") or sha256 is not None:
            raise ValueError(f"{source}: #{fragment}; expected one #sha256=<64 hex digits>")
        sha256 = fragment.removeprefix("sha256=")
    expected = None if sha256 is None else parse_sha256(sha256)
    hub = _HUB.fullmatch(source) or _HUB_URL.fullmatch(source)
    if hub is not None:
        fetched = _from_hub(hub["repo"], hub["revision"], hub["filename"], source)
    elif source.startswith("hf-hub:"):
        raise ValueError(
            f"source is {source!r}; expected hf-hub:owner/name@revision[:filename], the revision "
            "being a commit, tag or branch (main, if any will do)"
        )
    else:
        fetched = Fetched(_from_url(source, expected), urlsplit(source).path.rpartition("/")[2])
        source = public_url(source)
    if expected is not None:
        check_sha256(fetched.path, expected, source)
    return fetched


def cache_folder() -> Path:
    """Where files are kept: $MOBILEONE_CACHE, or mobileone in the user's cache folder."""
    own = os.environ.get("MOBILEONE_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mobileone"


def parse_sha256(text: str) -> str:
    """The checksum in lower case; ValueError unless it is 64 hexadecimal digits."""
    if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", text):
        raise ValueError(f"sha256 is {text!r}; expected 64 hexadecimal digits")
    return text.lower()


def check_sha256(path: str | os.PathLike[str], expected: str, source: str) -> None:
    """CheckpointError unless the file has this checksum."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    if digest.hexdigest() != expected:
        raise CheckpointError(
            f"{source}: {os.fspath(path)} has sha256 {digest.hexdigest()}; expected {expected}. "
            "It is another version, or damaged: delete it to fetch it again"
        )


def _place(host: str, path: str) -> Path:
    segments = [segment for segment in path.split("/") if segment]
    if not segments or any(segment in (".", "..") or "\\" in segment for segment in segments):
        raise ValueError(f"{path!r} does not name a file on {host}")
    return cache_folder().joinpath(host.replace(":", "_"), *segments)


# Hugging Face.


def _from_hub(repo: str, revision: str, filename: str | None, source: str) -> Fetched:
    files = [_HubFile(repo, revision, name) for name in ([filename] if filename else _WEIGHTS)]
    placed = next((file.place for file in files if file.place.is_file()), None)
    name = repo.partition("/")[2]
    if placed is not None:
        return Fetched(placed, name, _described(placed.with_name("config.json")))
    path, cached = _first_on_hub(files, source)
    return Fetched(path, name, _described(_config_on_hub(repo, revision, cached)))


def _first_on_hub(files: list[_HubFile], source: str) -> tuple[Path, bool]:
    """The first of the files that there is, and whether it was in the cache already."""
    how = advice(files[0].url, files[0].place)
    try:
        from huggingface_hub import errors, hf_hub_download
    except ImportError as error:
        raise ImportError(
            f"{source}: needs huggingface_hub: pip install 'mobileone[hub]'. {how}"
        ) from error
    # The cache first, for every name: what was fetched once is not fetched again.
    for file, cached in [*((file, True) for file in files), *((file, False) for file in files)]:
        try:
            path = hf_hub_download(
                file.repo, file.filename, revision=file.revision, local_files_only=cached
            )
            return Path(path), cached
        except errors.LocalEntryNotFoundError as error:
            if not cached:
                reason = str(error.__cause__ or error).partition("\n")[0]
                raise ConnectionError(
                    f"{source}: cannot reach {HUGGING_FACE} ({reason}). {how}"
                ) from error
        except errors.EntryNotFoundError:
            continue
        except errors.RevisionNotFoundError as error:
            raise FileNotFoundError(
                f"{source}: {file.repo} has no revision {file.revision}"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise FileNotFoundError(
                f"{source}: there is no repository {file.repo} on {HUGGING_FACE}, or it is private "
                "and needs a login (hf auth login)"
            ) from error
    names = " or ".join(file.filename for file in files)
    raise FileNotFoundError(f"{source}: {files[0].repo} has no {names}; name a file of it")


def _config_on_hub(repo: str, revision: str, cached: bool) -> Path | None:
    from huggingface_hub import hf_hub_download

    try:
        return Path(
            hf_hub_download(repo, "config.json", revision=revision, local_files_only=cached)
        )
    except OSError:
        return None  # only the weights are needed


def _described(config: Path | None) -> Description | None:
    """What a repository's config.json says; None if there is none."""
    if config is None or not config.is_file():
        return None
    return parse_description(config.read_bytes(), str(config))


# Any other server.


def _from_url(url: str, expected: str | None) -> Path:
    parts = urlsplit(url)
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError(
            f"source is {public_url(url)!r}; expected https://host/path, without credentials"
        )
    if parts.scheme != "https" and expected is None:
        raise ValueError(
            f"{public_url(url)}: not encrypted; expected https, or a checksum (sha256=)"
        )
    place = _place(parts.netloc, parts.path)
    if parts.query:
        place = place.with_name(
            f"{hashlib.sha256(parts.query.encode()).hexdigest()[:8]}-{place.name}"
        )
    if not place.is_file():
        place.parent.mkdir(parents=True, exist_ok=True)
        download(url, place, expected)
    return place

"""The installed package's version, and what it is in a line; in a source tree, its metadata's."""

from __future__ import annotations

from importlib.metadata import metadata

_METADATA = metadata("mobileone")
__version__: str = _METADATA["Version"]
SUMMARY: str = _METADATA["Summary"]

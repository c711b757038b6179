"""The version of the installed package; in a source tree, that of its metadata."""

from __future__ import annotations

from importlib.metadata import version

__version__ = version("mobileone")

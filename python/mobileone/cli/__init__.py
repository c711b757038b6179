"""The `mobileone` command."""

from __future__ import annotations

from mobileone.cli.commands import main

__all__ = ["main"]

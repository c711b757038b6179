"""What is wrong where the engine, `mobileone._core`, is not found."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

__all__ = ["why_missing"]


def why_missing() -> str:
    """This Python and machine, and those whose engines are in the package's folder instead."""
    folder = Path(__file__).resolve().parents[1]
    here = sorted(path.name for path in folder.glob("_core.*.so"))
    found = f"has {', '.join(here)}" if here else "has none"
    version = ".".join(map(str, sys.version_info[:2]))
    return (
        f"mobileone: no engine for {platform.python_implementation()} {version} on "
        f"{platform.system()} on {platform.machine()}: {folder} {found}; expected an installed "
        "package: pip install builds it on Linux on x86-64, the only system it runs on"
    )

"""Print the prefix under which this Python environment holds oneDNN's CMake package, if any.

pip installs the wheel's data files under the environment's prefix; in an isolated build that is
the build environment (an overlay on sys.path), not sys.prefix.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path


def onednn_prefix() -> Path | None:
    """Return the directory that holds lib/cmake/dnnl, or None."""
    candidates = [Path(sys.prefix)]
    try:
        files = distribution("onednn-devel-cpu-gomp").files or []
        candidates += [
            Path(f.locate()).resolve().parents[3] for f in files if f.name == "dnnl-config.cmake"
        ]
    except PackageNotFoundError:
        pass
    for prefix in reversed(candidates):
        if (prefix / "lib" / "cmake" / "dnnl").is_dir():
            return prefix
    return None


if __name__ == "__main__":
    print(onednn_prefix() or "")
